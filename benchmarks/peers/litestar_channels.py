"""Litestar's channels with the backend in memory: a queue and a task per subscriber."""

from typing import Any

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect

CHANNEL = "bench"


@websocket("/ws")
async def chat(socket: WebSocket[Any, Any, Any], channels: ChannelsPlugin) -> None:
    """What one says, all get."""
    await socket.accept()
    async with (
        channels.start_subscription([CHANNEL]) as subscriber,
        subscriber.run_in_background(socket.send_text),
    ):
        try:
            while True:
                channels.publish(await socket.receive_text(), CHANNEL)
        except WebSocketDisconnect:
            pass


app = Litestar([chat], plugins=[ChannelsPlugin(MemoryChannelsBackend(), channels=[CHANNEL])])
