"""The least that Python can do: a frame made once and written to each transport, on uvloop.

It understands just enough of WebSocket for this: no fragments, no pings, short messages.
"""

import asyncio
import os
import signal
from base64 import b64encode
from hashlib import sha1
from typing import cast

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)

transports: set[asyncio.WriteTransport] = set()


def broadcast(payload: bytes) -> None:
    """Write a text to everybody."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    frame = head + payload
    for transport in transports:
        transport.write(frame)


class Chat(asyncio.Protocol):
    """What one says, all get."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self.buffer = b""
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the upgrade."""
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what is complete."""
        self.buffer += data
        if not self.open:
            request, complete, self.buffer = self.buffer.partition(b"\r\n\r\n")
            if not complete:
                self.buffer = request
                return
            self.accept(request)
        while self.take_frame():
            pass

    def accept(self, request: bytes) -> None:
        """Answer the upgrade."""
        lines = (line.partition(b":") for line in request.split(b"\r\n"))
        headers = {name.lower(): value.strip() for name, _, value in lines}
        proof = b64encode(sha1(headers[b"sec-websocket-key"] + GUID).digest())
        self.transport.write(ACCEPTED % proof)
        self.open = True
        transports.add(self.transport)

    def take_frame(self) -> bool:
        """Broadcast the first frame of the buffer, if it is there as a whole."""
        buffer = self.buffer
        if len(buffer) < 2:
            return False
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        stop = start + 4 + size
        if len(buffer) < stop:
            return False
        mask, payload = buffer[start : start + 4], buffer[start + 4 : stop]
        if any(mask):
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.buffer = buffer[stop:]
        if buffer[0] == 0x81:
            broadcast(payload)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Forget a client."""
        transports.discard(self.transport)


async def main() -> None:
    """Serve until SIGTERM."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Chat, "127.0.0.1", int(os.environ["PORT"]), backlog=2048)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
