"""The contract of every way to say who is connecting."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..connection import Connection


class Auth(Protocol):
    """Says on each new connection who is there; belongs to one client."""

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The URL and the headers to open a connection with.

        Whatever takes time is done here, since on an open connection the server waits. OSError
        and TimeoutError count as a connection that failed, and ConnectionLost says how one did;
        anything else ends the client.
        """
        ...

    async def prove(self, connection: "Connection") -> None:
        """Return once the server has said `welcome` on a connection that has just opened."""
        ...

    async def refresh(self, url: str, connection: "Connection") -> None:
        """Go on with another credential, where there is one: that of a connection soon ends.

        Raises what `prepare` does, or CommandRefused; then the connection ends with its credential.
        """
        ...

    def renew(self) -> bool:
        """Take up another credential, since this one has expired; False where there is none."""
        ...
