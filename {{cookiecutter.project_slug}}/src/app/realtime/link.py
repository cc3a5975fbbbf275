"""The way out to one peer, as the engine sees it."""

from typing import Protocol

from ..protocol.frames import Frame, Run


class Link(Protocol):
    """Writes frames to one peer; nothing here raises or calls back."""

    def write(self, frame: Frame | Run) -> None:
        """Send after what was written before, soon; what comes after `end` is dropped."""
        ...

    @property
    def buffered(self) -> int:
        """How many bytes wait for the peer."""
        ...

    async def drained(self) -> None:
        """Return once the peer can take more, or never will."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Close after what was written, in bounded time even if the peer does not read."""
        ...
