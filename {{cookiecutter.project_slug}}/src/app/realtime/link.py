"""The way out to one peer, as the engine sees it."""

from collections.abc import Sequence
from typing import Protocol


class Link(Protocol):
    """Writes frames to one peer; nothing here raises or calls back."""

    def write(self, frames: Sequence[bytes]) -> None:
        """Send text frames in order, soon; what comes after `end` is dropped."""
        ...

    async def drained(self) -> None:
        """Return once the peer can take more, or will never."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Close after what was written, in bounded time even if the peer does not read."""
        ...
