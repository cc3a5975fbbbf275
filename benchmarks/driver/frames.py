"""WebSocket frames as this driver needs them: written once, counted by their headers."""

from base64 import b64encode
from hashlib import sha1

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_FINAL_TEXT = 0x80 | TEXT
_LONGER = {126: 2, 127: 8}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FrameError(Exception):
    """The server sent what nobody asked for: a fragment, compression, a mask."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame. The mask is zero, so that the payload stands as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def scan(data: bytes, delivery: bytes) -> tuple[int, int, list[tuple[int, bytes]]]:
    """How many deliveries are in `data`, how many bytes are whole frames, and every other frame.

    A delivery is a text whose payload begins with `delivery`; its content is not looked at.
    """
    place = deliveries = 0
    end = len(data)
    others: list[tuple[int, bytes]] = []
    while end - place >= 2:
        size = data[place + 1]
        start = place + 2
        if size > 125:
            if size > 127:
                raise FrameError("a server's frame is masked")
            start += _LONGER[size]
            if start > end:
                break
            size = int.from_bytes(data[place + 2 : start], "big")
        if start + size > end:
            break
        if data[place] == _FINAL_TEXT and data.startswith(delivery, start):
            deliveries += 1
        else:
            others.append((_opcode(data[place]), data[start : start + size]))
        place = start + size
    return deliveries, place, others


def _opcode(first: int) -> int:
    if first & 0xF0 != 0x80:
        raise FrameError("a frame is a fragment or uses an extension that was not negotiated")
    return first & 0x0F


def upgrade_request(host: str, path: str, key: bytes, subprotocol: str | None) -> bytes:
    """The HTTP request that asks for a WebSocket; no extension is offered."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def accepts(response: bytes, key: bytes) -> bool:
    """Whether an HTTP response, up to its empty line, opens the WebSocket that was asked for."""
    status, *lines = response.split(b"\r\n")
    fields = (line.partition(b":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    proof = b64encode(sha1(key + _GUID).digest())
    switched = status.split(b" ")[1:2] == [b"101"]
    return switched and headers.get(b"sec-websocket-accept") == proof
