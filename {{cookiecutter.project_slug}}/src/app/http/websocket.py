"""The socket: a plain ASGI endpoint that makes a served connection of a handshake."""

import json
from collections.abc import Awaitable
from functools import cache, partial
from random import randint
from time import monotonic

import structlog
from starlette.requests import HTTPConnection
from starlette.routing import Match, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import metrics
from ..auth.base import Principal
from ..auth.origins import Origins, OriginSettings
from ..protocol.commands import Subscribe
from ..protocol.errors import CloseCode, Disconnect
from ..realtime.connection import serve
from ..realtime.gate import Refusal
from ..realtime.link import Link
from ..realtime.node import Node
from ..tally import origin_of
from .link import offered_link, open_link

log = structlog.stdlib.get_logger(__name__)

SUBPROTOCOL = "v1.json"
"""The wire that this service speaks, also with clients that offer none."""


class Socket:
    """Serves `/ws`, and `/ws/{namespace}/{name}` for clients that want one channel."""

    def __init__(self) -> None:
        self._origins = Origins(OriginSettings().allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from handshake to end."""
        await receive()
        ambient = _node(scope).authenticator.ambient
        if not self._origins.admit(HTTPConnection(scope), required=ambient):
            return await _refuse(scope, send, 403, "this page may not connect", [])
        client, gate = scope.get("client"), _node(scope).gate
        origin = client and origin_of(client[0])
        if refusal := gate.enter(origin):
            if refusal is Refusal.CROWDED and b"x-forwarded-for" in dict(scope["headers"]):
                _suspect_a_proxy()
            metrics.REFUSED.labels(refusal.name.lower()).inc()
            status = 429 if refusal is Refusal.CROWDED else 503
            # Another node may take at once who is sent away by one that leaves.
            after = 1 if refusal is Refusal.CLOSED else randint(1, 10)
            return await _refuse(scope, send, status, refusal, [(b"retry-after", b"%d" % after)])
        try:
            offered: list[str] = scope["subprotocols"]
            # A browser shows nothing but 1006 unless the handshake succeeds, whatever was offered.
            chosen = SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
            await send({"type": "websocket.accept", "subprotocol": chosen})
            opened, limits = monotonic(), _node(scope).limits
            metrics.CONNECTIONS.inc()
            metrics.ACTIVE.inc()
            try:
                if link := offered_link(scope, limits):
                    await self._serve(scope, receive, link)
                else:
                    async with open_link(send, limits) as link:
                        await self._serve(scope, receive, link)
            finally:
                metrics.ACTIVE.dec()
                metrics.DURATION.observe(monotonic() - opened)
        finally:
            gate.leave(origin)

    async def _serve(self, scope: Scope, receive: Receive, link: Link) -> None:
        offered, node = scope["subprotocols"], _node(scope)
        try:
            if offered and SUBPROTOCOL not in offered:
                raise Disconnect(CloseCode.UNSUPPORTED_VERSION)
            first = _subscription(HTTPConnection(scope))
            inbox, identify = partial(_message, receive), partial(_identify, node, scope)
            await serve(node, link, inbox, identify, first)
        except Disconnect as refused:
            link.end(refused.code, refused.reason)


class Sockets:
    """Serves sockets before the router, whose coroutines would last as long as each connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        paths = "/ws", "/ws/{namespace}/{name}"
        self._routes = [WebSocketRoute(path, Socket()) for path in paths]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What serves this request or connection."""
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return route.app(scope, receive, send)
        return self._app(scope, receive, send)


def _node(scope: Scope) -> Node:
    node: Node = scope["state"]["node"]
    return node


async def _refuse(
    scope: Scope, send: Send, status: int, why: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Answer over HTTP, before there is a connection; those who come back do so one by one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close"})
    headers = [*headers, (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": why.encode()})


@cache
def _suspect_a_proxy() -> None:
    """Say, once, what may be wrong where everybody seems to come from one address."""
    log.warning("one address has too many connections: if it is a proxy, set APP_TRUSTED_PROXIES")


async def _identify(node: Node, scope: Scope) -> Principal | None:
    """Whom the handshake proves."""
    return await node.authenticator.at_handshake(HTTPConnection(scope))


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
