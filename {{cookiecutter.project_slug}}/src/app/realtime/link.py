"""The way out to one peer, as the engine sees it."""

from typing import Protocol

from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run


class Link(Protocol):
    """Writes frames to one peer; nothing here raises or calls back."""

    def write(self, frame: Frame | Run) -> None:
        """Send after what was written before, soon; what comes after `end` is dropped."""
        ...

    def offer(self, frame: Frame | Run) -> bool:
        """Write what can be had again, and tell so; or refuse it, if too much waits already."""
        ...

    @property
    def buffered(self) -> int:
        """How many bytes wait for the peer."""
        ...

    async def drained(self) -> None:
        """Return once the peer can take more, or never will."""
        ...

    @property
    def heard(self) -> float:
        """When the peer gave a sign of life, by the monotonic clock."""
        ...

    @property
    def code(self) -> int | None:
        """The close code with which the connection ended."""
        ...

    def end(self, code: CloseCode, reason: str = "") -> None:
        """Close after what was written, in bounded time even if the peer does not read.

        Without a reason it is the code's own.
        """
        ...
