"""The socket: a plain ASGI endpoint that makes a served connection of a handshake."""

import json
from functools import partial
from time import monotonic

from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from .. import metrics
from ..protocol.commands import Subscribe
from ..protocol.errors import CloseCode, Disconnect
from ..realtime.connection import serve
from ..realtime.node import Node
from .link import open_link

SUBPROTOCOL = "v1.json"
"""The wire that this service speaks, also with clients that offer none."""


class Socket:
    """Serves `/ws`, and `/ws/{namespace}/{name}` for clients that want one channel."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from handshake to end."""
        await receive()
        connection = HTTPConnection(scope)
        node: Node = connection.state.node
        offered: list[str] = scope["subprotocols"]
        # A browser shows nothing but 1006 unless the handshake succeeds, whatever was offered.
        chosen = SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        opened = monotonic()
        metrics.CONNECTIONS.inc()
        metrics.ACTIVE.inc()
        try:
            async with open_link(scope, send, node.limits) as link:
                try:
                    if chosen not in (SUBPROTOCOL, None):
                        raise Disconnect(CloseCode.UNSUPPORTED_VERSION)
                    first = _subscription(connection)
                    principal = await node.authenticator.at_handshake(connection)
                    await serve(node, link, partial(_message, receive), principal, first)
                except Disconnect as refused:
                    link.end(refused.code, refused.reason)
        finally:
            metrics.ACTIVE.dec()
            metrics.DURATION.observe(monotonic() - opened)


async def _message(receive: Receive) -> str | bytes | None:
    """What the peer says next; None once it is gone."""
    event = await receive()
    text: str | None = event.get("text")
    return event.get("bytes") if text is None else text


def _subscription(connection: HTTPConnection) -> Subscribe | None:
    """What `/ws/{namespace}/{name}?last=&since=epoch:offset` asks for."""
    if not connection.path_params:
        return None
    query, place = connection.query_params, connection.path_params
    epoch, colon, offset = query.get("since", ":0").rpartition(":")
    try:
        if not colon:
            raise ValueError("no epoch")
        wanted = {
            "type": "subscribe",
            "channel": f"{place['namespace']}:{place['name']}",
            "since": {"epoch": epoch, "offset": int(offset)} if "since" in query else None,
            "last": int(query.get("last", 0)),
        }
        return Subscribe.model_validate_json(json.dumps(wanted))
    except ValueError:
        raise Disconnect(CloseCode.PROTOCOL_ERROR, "channel, last or since is wrong") from None


routes = [
    WebSocketRoute("/ws", Socket()),
    WebSocketRoute("/ws/{namespace}/{name}", Socket()),
]
