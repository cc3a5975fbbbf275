"""What each command does: one function per type, answered or refused by a CommandError."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ..protocol import codec, commands, events
from ..protocol.errors import CommandError, Disconnect, ErrorCode
from . import publishing
from .hooks import Operation, ask
from .reading import read_page, read_presence

if TYPE_CHECKING:
    from .session import Session

LARGEST_SIGNAL = 1024
"""Bytes of data in a signal."""


async def auth(session: "Session", command: commands.Auth) -> None:
    """A guest takes up an earlier identity: only at once, and not where something is subscribed."""
    if not session.untouched or session.principal.guest_token is None:
        raise CommandError(ErrorCode.UNSUPPORTED, "this connection is authenticated already")
    principal = await session.node.authenticator.by_token(command.token)
    await session.take_up(principal)
    session.welcome(command.id)


async def subscribe(session: "Session", command: commands.Subscribe) -> None:
    """Join a channel."""
    channel, node = command.channel, session.node
    if channel in session.subscriptions:
        raise CommandError(ErrorCode.ALREADY_SUBSCRIBED, "you are subscribed already")
    if len(session.subscriptions) >= node.limits.channels_per_connection:
        raise CommandError(ErrorCode.LIMIT_EXCEEDED, "too many channels on one connection")
    namespace = await node.directory.enter(session.principal, channel, command.presence)
    await ask(namespace.on_subscribe, Operation(node, session.principal, channel))
    await node.hub.subscribe(session, namespace, command)


async def unsubscribe(session: "Session", command: commands.Unsubscribe) -> None:
    """Leave a channel."""
    require_subscription(session, command.channel)
    session.node.hub.unsubscribe(session, command.channel)
    session.reply(events.Ok(id=command.id, channel=command.channel))


async def publish(session: "Session", command: commands.Publish) -> None:
    """Publish to a channel, subscribed or not.

    The next does not wait for it: what a client sends at once shares an append or a round trip,
    and the replies follow it.
    """
    published = await publishing.publish(session.node, session.principal, command)
    session.published.append((command, published))
    published.add_done_callback(session.acknowledge)


async def signal(session: "Session", command: commands.Signal) -> None:
    """Tell the subscribers something that is not kept; silent unless it has an id."""
    channel = command.channel
    require_subscription(session, channel)
    await session.node.directory.writable(session.principal, channel)
    if len(to_json(command.data)) > LARGEST_SIGNAL:
        raise CommandError(ErrorCode.TOO_LARGE, "a signal takes 1 KiB of data", field="data")
    frame = codec.encode_signal(channel, command.kind, session.principal.member, command.data)
    await session.node.hub.signal(channel, frame)
    if command.id is not None:
        session.reply(events.Ok(id=command.id, channel=channel))


async def history(session: "Session", command: commands.History) -> None:
    """Read a page of what was said."""
    session.send(await read_page(session.node, session.principal, command))


async def presence(session: "Session", command: commands.Presence) -> None:
    """Say who is in a channel."""
    session.reply(await read_presence(session.node, session.principal, command))


async def refresh(session: "Session", command: commands.Refresh) -> None:
    """Go on with another credential of the same user, and with what that one allows."""
    if session.principal.expires_at is None:
        raise CommandError(ErrorCode.UNSUPPORTED, "what proved who you are does not expire")
    try:
        principal = await session.node.authenticator.by_token(command.token)
    except Disconnect as refused:
        raise CommandError(ErrorCode.UNAUTHENTICATED, refused.reason, field="token") from None
    if principal.user != session.principal.user:
        raise CommandError(ErrorCode.FORBIDDEN, "this is another user's", field="token")
    await session.take_up(principal)
    expires_at = principal.expires_at and principal.expires_at.isoformat()
    session.reply(events.Ok(id=command.id, expires_at=expires_at))


async def ping(session: "Session", command: commands.Ping) -> None:
    """Give a sign of life."""
    session.reply(events.Pong(id=command.id))


async def pong(session: "Session", command: commands.Pong) -> None:
    """Take a sign of life; that something came is all it says."""


def require_subscription(session: "Session", channel: str) -> None:
    """Refuse what only subscribers may do."""
    if channel not in session.subscriptions:
        raise CommandError(ErrorCode.NOT_SUBSCRIBED, "subscribe first", field="channel")


HANDLERS: dict[str, Callable[["Session", Any], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        auth,
        refresh,
        subscribe,
        unsubscribe,
        publish,
        signal,
        history,
        presence,
        ping,
        pong,
    )
}
"""Each is named after the type of its command."""
