"""Encoded messages, made ready for the socket once, however many receive them."""

from collections.abc import Sequence


class Frame:
    """A text message as its recipients get it: shared by all of them, never changed."""

    __slots__ = ("payload", "wire")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        """The message in JSON."""
        self.wire = _header(len(payload)) + payload
        """The same as a WebSocket frame of a server: final, text, not masked (RFC 6455, 5.2)."""

    @property
    def frames(self) -> "Sequence[Frame]":
        """A run of one."""
        return (self,)


class Run:
    """Frames for the same recipients, one after another, in one piece."""

    __slots__ = ("frames", "wire")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.wire = b"".join([frame.wire for frame in frames])


def _header(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
