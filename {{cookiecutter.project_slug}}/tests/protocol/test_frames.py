"""A frame has the bytes that every WebSocket library would send for it."""

import pytest
from websockets import frames

from app.protocol.frames import Frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_has_the_bytes_that_a_library_would_send(length: int) -> None:
    payload = b"x" * length
    text = frames.Frame(frames.Opcode.TEXT, payload)
    assert Frame(payload).wire == text.serialize(mask=False)


def test_the_payload_is_kept_as_it_is() -> None:
    payload = '{"text":"ü"}'.encode()
    assert Frame(payload).payload == payload


def test_the_length_counts_bytes_not_characters() -> None:
    assert Frame(("ü" * 63).encode()).wire[:4] == b"\x81\x7e\x00\x7e"
