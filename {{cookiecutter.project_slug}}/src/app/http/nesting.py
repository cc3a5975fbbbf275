"""Refuses JSON that nests too deep to be read, before FastAPI reads it."""

from dataclasses import dataclass
from json import detect_encoding

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..protocol.codec import too_deep


@dataclass(frozen=True)
class NestingLimit:
    """Makes such a body one that could not be read; inside what limits how long it may be."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        body = bytearray()

        async def receive_flat() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            if not message.get("more_body") and too_deep(_text(bytes(body))):
                raise ValueError("too deep")
            return message

        await self.app(scope, receive_flat if _says_json(scope) else receive, send)


def _says_json(scope: Scope) -> bool:
    kind = Headers(scope=scope).get("content-type", "json") if scope["type"] == "http" else ""
    return "json" in kind.lower()


def _text(body: bytes) -> str:
    """What `json.loads` takes it for."""
    return body.decode(detect_encoding(body), "surrogatepass")
