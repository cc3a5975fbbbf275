"""How each server wants to be spoken to: opening, subscribing, publishing, and what comes back."""

import json
from dataclasses import dataclass
from typing import Protocol

CHANNEL = "bench"
"""The channel that is published to; others are named by their number."""

_FILLER = " the quick brown fox jumps over the lazy dog while nobody is looking at it" * 3


def text_of(number: int) -> bytes:
    """What is published: 150 bytes that say which message they are, the same for every server."""
    return f"#{number:08d}{_FILLER}"[:150].encode()


class RefusedError(Exception):
    """The server did not do what was asked."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What becomes of a text that is no delivery."""

    answer: bytes | None = None
    confirms: int = 0
    """Publications that it confirms."""
    handled: bool = False
    """Whether nobody else needs to see it."""


UNSEEN = Reaction()


class Speaker(Protocol):
    """What a dialect needs of a connection."""

    def say(self, payload: bytes) -> None:
        """Send one text."""

    async def hear(self) -> bytes:
        """The next text that is no delivery."""


class Dialect:
    """Connecting is subscribing, and what one sends all get: the shape of most examples."""

    path = "/ws"
    subprotocol: str | None = None
    delivery = b"#"
    """How the payload of a delivery begins."""
    confirms = False
    """Whether each publication is answered."""
    channels = False
    """Whether a connection can subscribe to many."""

    async def open(self, connection: Speaker) -> None:
        """Do what is left after the upgrade, until the server calls the connection ready."""

    async def subscribe(self, connection: Speaker, channels: list[str]) -> None:
        """Subscribe; what is published afterwards arrives."""

    def publish(self, number: int) -> bytes:
        """The text that publishes a message to the channel."""
        return text_of(number)

    def react(self, payload: bytes) -> Reaction:
        """What to make of a text that is no delivery; RefusedError if nobody asked for it."""
        raise RefusedError(f"an unexpected {payload[:100]!r}")


class Json(Dialect):
    """The same with an object around the text, which the server decodes and encodes."""

    delivery = b'{"text":'

    def publish(self, number: int) -> bytes:
        """An object with the text."""
        return b'{"text":"%b"}' % text_of(number)


class Topics(Dialect):
    """`+name` subscribes and is answered by the same; everything else is published."""

    channels = True

    async def subscribe(self, connection: Speaker, channels: list[str]) -> None:
        """Ask for all, then hear all answers."""
        for channel in channels:
            connection.say(b"+" + channel.encode())
        for channel in channels:
            if await connection.hear() != b"+" + channel.encode():
                raise RefusedError(f"no subscription to {channel}")

    def react(self, payload: bytes) -> Reaction:
        """Only answers."""
        return UNSEEN if payload.startswith(b"+") else super().react(payload)


class SocketIO(Dialect):
    """Engine.IO 4 over WebSocket alone, and rooms; a text packet begins with its type."""

    path = "/socket.io/?EIO=4&transport=websocket"
    delivery = b'42["message"'
    channels = True

    async def open(self, connection: Speaker) -> None:
        """Engine.IO opens by itself; the namespace is asked for."""
        if not (await connection.hear()).startswith(b"0{"):
            raise RefusedError("Engine.IO did not open")
        connection.say(b"40")
        if not (await connection.hear()).startswith(b"40"):
            raise RefusedError("the namespace did not open")

    async def subscribe(self, connection: Speaker, channels: list[str]) -> None:
        """An event with an acknowledgement for each room."""
        for number, channel in enumerate(channels):
            connection.say(b'42%d["subscribe","%b"]' % (number, channel.encode()))
        for number, channel in enumerate(channels):
            if not (await connection.hear()).startswith(b"43%d[" % number):
                raise RefusedError(f"no subscription to {channel}")

    def publish(self, number: int) -> bytes:
        """An event with the text."""
        return b'42["publish","%b"]' % text_of(number)

    def react(self, payload: bytes) -> Reaction:
        """Engine.IO's heartbeat is a text too."""
        if payload == b"2":
            return Reaction(answer=b"3", handled=True)
        return UNSEEN if payload.startswith((b"0{", b"40", b"43")) else super().react(payload)


class Service(Dialect):
    """The wire of the generated service; rooms are durable and have presence."""

    namespace = "chat"
    subprotocol = "v1.json"
    delivery = b'{"type":"message"'
    confirms = True
    channels = True

    async def open(self, connection: Speaker) -> None:
        """Guests are welcome at once."""
        if json.loads(await connection.hear())["type"] != "welcome":
            raise RefusedError("no welcome")

    async def subscribe(self, connection: Speaker, channels: list[str]) -> None:
        """A command for each channel."""
        for channel in channels:
            name = f"{self.namespace}:{channel}"
            connection.say(b'{"type":"subscribe","channel":"%b"}' % name.encode())
        for channel in channels:
            if json.loads(await connection.hear())["channel"] != f"{self.namespace}:{channel}":
                raise RefusedError(f"no subscription to {channel}")

    def publish(self, number: int, channel: str = CHANNEL, key: str | None = None) -> bytes:
        """A command; its reply is the confirmation."""
        keyed = b"" if key is None else b',"key":"%b"' % key.encode()
        return b'{"type":"publish","channel":"%b:%b","data":{"text":"%b"}%b}' % (
            self.namespace.encode(),
            channel.encode(),
            text_of(number),
            keyed,
        )

    def react(self, payload: bytes) -> Reaction:
        """Replies, heartbeats, and who comes and goes."""
        message = json.loads(payload)
        match message["type"]:
            case "error":
                raise RefusedError(f"{message['code']}: {message['message']}")
            case "ok":
                return Reaction(confirms=1, handled=True)
            case "ping":
                return Reaction(answer=b'{"type":"pong"}', handled=True)
            case "welcome" | "subscribed":
                return UNSEEN
        return super().react(payload)


class Ephemeral(Service):
    """The same where nothing is kept, and nobody is counted."""

    namespace = "echo"


DIALECTS: dict[str, Dialect] = {
    "plain": Dialect(),
    "json": Json(),
    "topics": Topics(),
    "socketio": SocketIO(),
    "service": Service(),
    "ephemeral": Ephemeral(),
}
