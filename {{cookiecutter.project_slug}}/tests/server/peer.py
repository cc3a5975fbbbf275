"""A connection of the service's WebSocket protocol whose other end a test holds."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.extensions import ClientExtensionFactory
from websockets.frames import Frame as Received
from websockets.frames import Opcode
from websockets.uri import parse_uri

from app.server.websocket import LINK, SocketProtocol
from app.settings import Limits


class Transport(asyncio.Transport):
    """Records what is written and done; never passes anything on by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = self.aborted = self.ended = False
        self.reading = True
        self.buffered = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Record one system call."""
        self.writes.append(bytes(data))

    def close(self) -> None:
        """Record it."""
        self.closed = True

    def abort(self) -> None:
        """Record it."""
        self.closed = self.aborted = True

    def get_write_buffer_size(self) -> int:
        """As many bytes as the test says."""
        return self.buffered

    def can_write_eof(self) -> bool:
        """As TCP does."""
        return True

    def write_eof(self) -> None:
        """Record it."""
        self.ended = True

    @property
    def over(self) -> bool:
        """Whether nothing is written any more."""
        return self.closed or self.ended

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Record it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Record it."""
        self.reading = True


class Application:
    """Accepts, keeps what the scope offers, and stays until it is let go or the peer is gone."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.events: list[Any] = []
        self.accepted = asyncio.Event()
        self.leave = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection."""
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][LINK].begin(Limits())
        self.accepted.set()
        await self.leave.wait()
        self.events.append(await receive())
        self.left.set()


class Peer:
    """A protocol on a recording transport, past the handshake."""

    def __init__(self, *extensions: ClientExtensionFactory) -> None:
        self.application = Application()
        self.transport = Transport()
        self.client = ClientProtocol(parse_uri("ws://localhost/"), extensions=extensions or None)
        self.protocol = SocketProtocol(configured(self.application), ServerState(), {})

    @classmethod
    async def opened(cls, *extensions: ClientExtensionFactory) -> "Peer":
        """Shake hands."""
        peer = cls(*extensions)
        peer.protocol.connection_made(peer.transport)
        peer.client.send_request(peer.client.connect())
        peer.tell()
        await peer.application.accepted.wait()
        peer.heard()
        assert peer.offered is peer.protocol
        return peer

    @property
    def offered(self) -> Any:
        """The link that the application was offered."""
        return self.application.scope["extensions"][LINK]

    def tell(self) -> None:
        """Pass what the client said to the server."""
        self.protocol.data_received(b"".join(self.client.data_to_send()))

    def heard(self) -> list[str]:
        """The texts that were written since the last time, as a client reads them."""
        for data in self.transport.writes:
            self.client.receive_data(data)
        self.transport.writes.clear()
        return [
            bytes(event.data).decode()
            for event in self.client.events_received()
            if isinstance(event, Received) and event.opcode is Opcode.TEXT
        ]

    @property
    def closed(self) -> tuple[int, str] | None:
        """Code and reason of the close that was heard."""
        close = self.client.close_rcvd
        return None if close is None else (close.code, close.reason)

    @property
    def unread(self) -> int:
        """How many bytes of what the client said wait to be parsed."""
        return len(self.protocol._unread or b"")

    async def turn(self) -> None:
        """Let the turn end."""
        await asyncio.sleep(0)


def configured(application: Any) -> Config:
    """What uvicorn knows of an application without a lifespan; it pings nobody."""
    config = Config(application, ws=SocketProtocol, ws_ping_interval=None, log_config=None)
    config.load()
    return config
