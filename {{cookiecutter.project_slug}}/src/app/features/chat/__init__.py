"""Chat: rooms created on purpose, whose messages are kept, and where one sees who is here."""

from ...auth.policy import CHAT
from ...realtime.namespaces import Namespace
from ..base import Feature
from .messages import ChatMessage
from .routes import router

feature = Feature(
    Namespace("chat", payload=ChatMessage, durable=True, presence=True, listed=True, policy=CHAT),
    router,
)
