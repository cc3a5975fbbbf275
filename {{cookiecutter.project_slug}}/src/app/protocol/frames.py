"""Encoded messages, made ready for the socket once, however many receive them."""

import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile

WINDOW_BITS = 13
"""How far back a compressed frame refers at most, as a power of two."""


class Frame:
    """A text message as its recipients get it: shared by all of them, never changed."""

    __slots__ = ("_deflated", "payload", "wire")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        """The message in JSON."""
        self.wire = _header(len(payload)) + payload
        """The same as a WebSocket frame of a server: final, text, not masked (RFC 6455, 5.2)."""
        self._deflated = b""

    def deflated(self, threshold: int) -> bytes:
        """The frame for who takes compressed ones without context (RFC 7692), made once.

        It is `wire` below the threshold, a number of bytes, and where compression gains nothing.
        """
        if not self._deflated:
            long = len(self.payload) >= threshold
            self._deflated = min(_deflate(self.payload), self.wire, key=len) if long else self.wire
        return self._deflated

    @property
    def frames(self) -> "Sequence[Frame]":
        """A run of one."""
        return (self,)


class Run:
    """Frames for the same recipients, one after another, in one piece."""

    __slots__ = ("_deflated", "frames", "wire")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.wire = b"".join([frame.wire for frame in frames])
        self._deflated = b""

    def deflated(self, threshold: int) -> bytes:
        """The run for who takes compressed frames, made once."""
        if not self._deflated:
            self._deflated = b"".join([frame.deflated(threshold) for frame in self.frames])
        return self._deflated


class Beat(Run):
    """A sign of life: a message, and a PING that every WebSocket client answers by itself."""

    __slots__ = ()

    def __init__(self, frame: Frame) -> None:
        super().__init__([frame])
        self.wire = self._deflated = frame.wire + b"\x89\x00"


def fitting(frames: Iterable[Frame], most: int) -> int:
    """How many of them, in this order, have at most so many bytes together; one at least."""
    sizes = accumulate(len(frame.payload) for frame in frames)
    return max(1, sum(1 for _ in takewhile(most.__ge__, sizes)))


def _header(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def _deflate(payload: bytes) -> bytes:
    # A page of 200 KB holds up the event loop half as long at level 1 as at 6, for a tenth more.
    # The encoder takes 64 KiB: one of 256 would be asked of the system each time.
    encoder = zlib.compressobj(1, wbits=-WINDOW_BITS, memLevel=6)
    # A message ends where the flush would write an empty block, which goes without saying.
    data = (encoder.compress(payload) + encoder.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc1" + _header(len(data))[1:] + data
