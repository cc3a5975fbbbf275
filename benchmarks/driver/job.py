"""What a driver is asked to do: plain data, since it crosses from one process to another."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Measure = Literal["fanout", "flatness", "memory", "handshake", "durable", "nodes"]

SERVER = "server"


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement on one server that was just started; every count is a bound."""

    measure: Measure
    dialect: str
    port: int
    pid: int
    database: int = 0
    """The process of the database's server, where there is one."""
    publishing: int = 0
    """The port of who takes what is published; by default the first of the recipients publishes."""
    beside: dict[str, int] = field(default_factory=dict)
    """Other processes that take part, by a name: what each of them takes is told beside."""

    recipients: int = 0
    """Subscribers of the channel that is published to; one of them is the publisher. Where the
    publishes are measured, how many publish."""
    messages: int = 0
    """How many are published one at a time; by each."""
    pace: float = 0.01
    """Seconds from one message to the next, and more where not everybody has it by then."""
    bursts: int = 0
    burst: int = 100
    """Messages that the publisher writes at once."""
    channels: int = 0
    """Other channels, with one subscriber each, on few connections; or those published to."""
    idle: int = 0
    """Other connections, without a subscription."""

    connections: int = 0
    """How many are counted; of the memory, or of handshakes one after another."""
    warm_up: int = 0
    """Connections before those, or messages before those."""
    batches: int = 0
    batch: int = 0
    """Handshakes begun at once."""

    rest: float = 1.0
    """Seconds in which the server is watched at rest, so that its idle cost can be subtracted."""
    patience: float = 30.0
    """Seconds that anything may take; longer is a failure."""

    readers: int = 20
    """How many of the subscribers read what they get, evenly spread; the others count it."""

    @property
    def processes(self) -> dict[str, int]:
        """All whose cost is told; the server's name is SERVER."""
        return {SERVER: self.pid} | self.beside

    def to_json(self) -> str:
        """The job for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """A job from another process."""
        return cls(**json.loads(text))
