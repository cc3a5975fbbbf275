"""Django Channels on several nodes: a consumer per connection, and groups by Redis pub/sub."""

import os
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-not-found]
from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-not-found]
from django.conf import settings  # type: ignore[import-not-found]
from django.urls import path  # type: ignore[import-not-found]

GROUP = "bench"
BACKEND = "channels_redis.pubsub.RedisPubSubChannelLayer"

settings.configure(
    CHANNEL_LAYERS={
        "default": {"BACKEND": BACKEND, "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}
    },
)


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """`+name` joins a group, which is answered by the same; anything else the group gets."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Join, or publish."""
        said = text_data or ""
        if said.startswith("+"):
            await self.channel_layer.group_add(said[1:], self.channel_name)
            await self.send(said)
        else:
            await self.channel_layer.group_send(GROUP, {"type": "chat.message", "text": said})

    async def chat_message(self, event: dict[str, Any]) -> None:
        """What one said."""
        await self.send(event["text"])


app = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Chat.as_asgi())])})
