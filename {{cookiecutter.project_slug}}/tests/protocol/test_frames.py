"""A frame has the bytes that every WebSocket library would send for it."""

import random
import zlib

import pytest
from websockets import frames
from websockets.extensions.permessage_deflate import PerMessageDeflate

from app.protocol.frames import WINDOW_BITS, Frame, Run


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


@pytest.mark.parametrize("length", [1, 2, 1000, 20_000, 65_536, 300_000])
def test_a_compressed_frame_has_the_bytes_that_a_library_would_send(length: int) -> None:
    payload = b"".join(b"%d," % (number * number) for number in range(length))[:length] + b" " * 50
    library = PerMessageDeflate(True, True, 12, WINDOW_BITS, {"level": 1, "memLevel": 6})
    text = frames.Frame(frames.Opcode.TEXT, payload)
    deflated = Frame(payload).deflated(1)
    assert deflated == text.serialize(mask=False, extensions=[library])
    assert deflated[0] == 0xC1 and len(deflated) < len(payload)


def test_from_the_threshold_on_a_frame_is_compressed() -> None:
    assert Frame(b"x" * 999).deflated(1000) == Frame(b"x" * 999).wire
    assert Frame(b"x" * 1000).deflated(1000)[0] == 0xC1


@pytest.mark.parametrize("length", [0, 1, 10, 2000])
def test_what_compression_would_not_make_smaller_stays_as_it_is(length: int) -> None:
    frame = Frame(random.Random(1).randbytes(length))
    assert frame.deflated(1) == frame.wire


def test_a_frame_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(b"x" * 1000)
    deflated = frame.deflated(1)
    monkeypatch.setattr(zlib, "compressobj", None)
    assert frame.deflated(1) is deflated


def test_a_run_is_its_frames_in_one_piece_for_everybody() -> None:
    one, other = Frame(b"short"), Frame(b"x" * 1000)
    run = Run([one, other])
    assert run.wire == one.wire + other.wire
    assert run.deflated(100) == one.wire + other.deflated(100)
    assert [each for frame in (one, run) for each in frame.frames] == [one, one, other]
