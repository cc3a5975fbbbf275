"""What the generated service is compared with: each peer a small program in its own idiom."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

SERVICE = "service"
"""The name of the generated service among its peers; it is part of every run."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server to drive, and what it needs."""

    name: str
    title: str
    runtime: Literal["app", "uvicorn", "python", "node", "bun"]
    program: str = ""
    """A file in `peers`."""
    packages: tuple[str, ...] = ()
    """From PyPI, or from npm for Node and Bun; the newest of each, and the run says which."""
    dialect: str = "plain"
    fans_out: bool = True
    keeps: bool = True
    """Whether its connections are measured; not where another peer's are the same."""
    ready: str = "101"
    """Up to where a handshake counts."""


UVICORN = "uvicorn[standard]"

PEERS = (
    Peer(SERVICE, "this template", "app", dialect="service", ready="`welcome`"),
    Peer(
        "fastapi",
        "FastAPI, the tutorial's ConnectionManager, `send_text`",
        "uvicorn",
        "fastapi_text.py",
        ("fastapi", UVICORN),
    ),
    Peer(
        "fastapi-json",
        "the same, `send_json`",
        "uvicorn",
        "fastapi_json.py",
        ("fastapi", UVICORN),
        dialect="json",
        keeps=False,
    ),
    Peer(
        "litestar",
        "Litestar channels, memory backend",
        "uvicorn",
        "litestar_channels.py",
        ("litestar", UVICORN),
    ),
    Peer(
        "python-socketio",
        "python-socketio on uvicorn, emit to a room",
        "uvicorn",
        "python_socketio.py",
        ("python-socketio", UVICORN),
        dialect="socketio",
        ready="the namespace's `40`",
    ),
    Peer(
        "websockets",
        "websockets, `broadcast()`, on uvloop",
        "python",
        "websockets_broadcast.py",
        ("websockets", "uvloop"),
    ),
    Peer(
        "bare-asyncio",
        "bare asyncio on uvloop, one prepared frame: the limit in Python",
        "python",
        "bare_asyncio.py",
        ("uvloop",),
    ),
    Peer("node-ws", "Node, ws", "node", "node_ws.mjs", ("ws",)),
    Peer(
        "socketio",
        "Node, Socket.IO, emit to a room",
        "node",
        "socketio.mjs",
        ("socket.io",),
        dialect="socketio",
        ready="the namespace's `40`",
    ),
    Peer("bun", "Bun, built-in publish (native)", "bun", "bun.js", ("bun",), dialect="topics"),
    Peer(
        "fastapi-echo",
        "FastAPI, a bare echo",
        "uvicorn",
        "fastapi_echo.py",
        ("fastapi", UVICORN),
        fans_out=False,
    ),
    Peer(
        "starlette-echo",
        "Starlette, a bare echo on a route",
        "uvicorn",
        "starlette_echo.py",
        ("starlette", UVICORN),
        fans_out=False,
    ),
    Peer(
        "asgi-echo",
        "plain ASGI on uvicorn, a bare echo",
        "uvicorn",
        "asgi_echo.py",
        (UVICORN,),
        fans_out=False,
    ),
)

REDIS_PEERS = (
    Peer(
        "socketio-redis",
        "Node, Socket.IO with its Redis adapter",
        "node",
        "socketio_redis.mjs",
        ("socket.io", "@socket.io/redis-adapter", "redis"),
        dialect="socketio",
    ),
    Peer(
        "channels-redis",
        "Django Channels with channels_redis, pub/sub layer, on uvicorn",
        "uvicorn",
        "channels_redis_pubsub.py",
        ("channels", "channels_redis", "hiredis", UVICORN),
        dialect="topics",
    ),
    Peer(
        "python-socketio-redis",
        "python-socketio with its Redis manager on uvicorn",
        "uvicorn",
        "python_socketio_redis.py",
        ("python-socketio", "redis[hiredis]", UVICORN),
        dialect="socketio",
    ),
)
"""What is compared where publisher and recipients are on two nodes."""


def chosen(names: Iterable[str]) -> tuple[Peer, ...]:
    """The service and the peers of these names, or all; raises KeyError for what is none."""
    known = {peer.name: peer for peer in PEERS}
    wanted = {known[name].name for name in names}
    return tuple(p for p in PEERS if not wanted or p.name in wanted or p.name == SERVICE)
