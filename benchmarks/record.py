"""What a run saw, as it is kept: plain data, from which every table and chart is made again."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .plan import Cell


@dataclass(frozen=True)
class Sample:
    """One cell of one server, measured once: a result, or why there is none."""

    peer: str
    round: int
    cell: Cell
    result: dict[str, Any] | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Server:
    """A server of the run: what it is, or why it is missing."""

    name: str
    title: str
    ready: str
    versions: dict[str, str] = field(default_factory=dict)
    missing: str | None = None


@dataclass
class Record:
    """A run."""

    started: str
    commit: str
    machine: dict[str, str]
    rounds: int
    main: int
    quick: bool = False
    """Whether it was too short for figures."""
    partial: str | None = None
    """Why it is not a run against everybody."""
    minutes: float = 0.0
    raised: dict[str, str] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def failures(self) -> list[Sample]:
        """What gave no figure although the server was there."""
        return [sample for sample in self.samples if sample.failure is not None]

    def save(self, path: Path) -> None:
        """Write the record; one line per sample, so that versions of it can be compared."""
        data = asdict(self)
        samples = data.pop("samples")
        head = json.dumps(data, indent=1)[:-2]
        lines = ",\n".join(f"  {json.dumps(sample)}" for sample in samples)
        path.write_text(f'{head},\n "samples": [\n{lines}\n ]\n}}\n', encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Record":
        """A record that was saved."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["servers"] = [Server(**each) for each in data["servers"]]
        data["samples"] = [
            Sample(**(each | {"cell": Cell(**each["cell"])})) for each in data["samples"]
        ]
        return cls(**data)
