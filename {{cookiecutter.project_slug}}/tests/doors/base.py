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


@dataclass(frozen=True)
class Refusals:
    """How a connection is refused: by a close code, a status of HTTP, or the code of an error."""

    no_token: int | str = 4500
    spoilt: int = 4500
    """Of what was changed after it was given out."""
    exchanged: bool = False
    """Whether a token goes over HTTP first, where every refusal of it has the same status."""
    beyond_a_field: int | str = 431
    """Of a token of 11 KB, which no field of a command holds."""
    beyond_a_header: int | str = 431
    """Of a token of 21 KB, which no request of HTTP holds."""
    renewal: str | None = None
    """Of every `refresh`, where a connection takes none, whatever it carries."""

    def over_http(self, status: int, *, or_else: int) -> int:
        """What is seen of a token that closes a connection, or is refused over HTTP before."""
        return status if self.exchanged else or_else

    def of(self, code: int) -> int:
        """The same, where the token is no good: the code that it deserves, if it gets there."""
        return self.over_http(401, or_else=code)


class Door(Protocol):
    """Lets a token be shown; what a service refuses over HTTP is a Refused."""

    @property
    def refusals(self) -> Refusals:
        """How connections are refused whose token is no good."""
        ...

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
