"""What a measurement found, as it is kept, and as Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..table import table

NAME = "faults"


@dataclass
class Finding:
    """One measurement."""

    title: str
    claims: list[tuple[str, str, bool]] = field(default_factory=list)
    """What has to hold, what was seen of it, and whether it does."""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    """When, of which commit, on what machine, and with which numbers."""

    @property
    def met(self) -> bool:
        """Whether everything holds."""
        return all(met for _, _, met in self.claims)

    def claim(self, says: str, seen: object, met: bool) -> None:
        """Something that has to hold."""
        self.claims.append((says, str(seen), met))

    def markdown(self) -> str:
        """A section of the results."""
        judged = [[*said, "met" if met else "**not met**"] for *said, met in self.claims]
        parts = [f"## {self.title}", table(["what has to hold", "seen", ""], judged)]
        if self.rows:
            parts.append(table(self.head, self.rows))
        about = "; ".join(f"{name}: {value}" for name, value in self.about.items())
        return "\n\n".join((*parts, self.notes, f"{about}."))


def load(folder: Path, name: str = NAME) -> dict[str, Finding]:
    """What is kept, by the name of the measurement."""
    path = folder / f"{name}.json"
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {each: Finding(**found) for each, found in kept.items()}


def save(
    folder: Path, findings: Mapping[str, Finding], name: str = NAME, title: str = "Faults, measured"
) -> None:
    """Keep all, as JSON and as Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {each: asdict(found) for each, found in sorted(findings.items())}
    (folder / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sections = [each.markdown() for _, each in sorted(findings.items())]
    text = "\n\n".join([f"# {title}", *sections]) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
