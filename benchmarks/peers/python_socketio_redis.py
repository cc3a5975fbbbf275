"""python-socketio on several nodes: the same rooms, and its manager for Redis between the nodes."""

import os

import socketio  # type: ignore[import-untyped]

CHANNEL = "bench"

# By default each event is a task of its own: with a Redis between they overtake each other.
manager = socketio.AsyncRedisManager(os.environ["REDIS_URL"])
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager, async_handlers=False)
app = socketio.ASGIApp(sio)


@sio.event  # type: ignore[untyped-decorator]
async def subscribe(sid: str, channel: str) -> None:
    """Join a room; the acknowledgement is the answer."""
    await sio.enter_room(sid, channel)


@sio.event  # type: ignore[untyped-decorator]
async def publish(sid: str, text: str) -> None:
    """What one says, the room gets."""
    await sio.emit("message", text, room=CHANNEL)
