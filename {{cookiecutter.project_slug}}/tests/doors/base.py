"""The contract of a door: what a handshake carries, and what is said first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..shapes import Frame

if TYPE_CHECKING:
    from ..service import Service


@dataclass(frozen=True)
class Shown:
    """What a connection shows of a token."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Frame | None = None


class Door(Protocol):
    """Lets a token be shown; what a service refuses over HTTP is a Refused."""

    async def show(self, service: "Service", token: str | None) -> Shown:
        """What proves the user of a token on a new connection."""
        ...

    async def renewal(self, service: "Service", token: str) -> str | None:
        """What a `refresh` carries for another token; None where that goes over HTTP."""
        ...


class Refused(Exception):
    """The service gave nothing for a token, with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
