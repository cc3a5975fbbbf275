"""python-socketio under ASGI: rooms, and an emit to a room."""

import socketio  # type: ignore[import-untyped]

CHANNEL = "bench"

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio)


@sio.event  # type: ignore[untyped-decorator]
async def subscribe(sid: str, channel: str) -> None:
    """Join a room; the acknowledgement is the answer."""
    await sio.enter_room(sid, channel)


@sio.event  # type: ignore[untyped-decorator]
async def publish(sid: str, text: str) -> None:
    """What one says, the room gets."""
    await sio.emit("message", text, room=CHANNEL)
