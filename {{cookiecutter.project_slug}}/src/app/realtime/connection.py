"""A connection from its handshake to its end: commands in, an identity first, then a session."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from secrets import token_hex
from time import monotonic

import structlog

from ..auth.base import Principal
from ..protocol import codec
from ..protocol.commands import AnyCommand, Auth, Id
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from ..protocol.frames import Frame
from .link import Link
from .node import Node
from .session import Session

log = structlog.stdlib.get_logger(__name__)

Inbox = AsyncIterator[str | bytes]
"""What the peer says, text and binary messages, until it is gone."""


async def serve(
    node: Node, link: Link, inbox: Inbox, principal: Principal | None, first: AnyCommand | None
) -> None:
    """Serve one connection to its end; `first` is carried out on the client's behalf.

    Without a principal the first command has to be `auth`.
    """
    session_id, opened = token_hex(8), monotonic()
    with structlog.contextvars.bound_contextvars(session=session_id):
        try:
            async with aclosing(_commands(inbox, link.write)) as commands:
                id: Id | None = None
                if principal is None:
                    id, principal = await _authenticate(node, link, commands)
                log.info("session opened", user=principal.user)
                await Session(session_id, node, link, principal).run(commands, id, first)
            log.info("session closed", seconds=round(monotonic() - opened, 3))
        except Disconnect as ended:
            log.info("session ended", code=int(ended.code), reason=ended.reason)
            link.end(ended.code, ended.reason)
        except StopAsyncIteration:
            log.info("left before authenticating")
        except Exception:
            log.exception("session failed")
            link.end(CloseCode.INTERNAL_ERROR, CloseCode.INTERNAL_ERROR.reason)


async def _authenticate(
    node: Node, link: Link, commands: AsyncIterator[AnyCommand]
) -> tuple[Id | None, Principal]:
    """Whom the first `auth` proves; anything before it is refused, and time is limited."""
    timed_out = CloseCode.AUTHENTICATION_TIMED_OUT
    deadline = node.wheel.schedule(
        node.limits.auth_seconds, lambda: link.end(timed_out, timed_out.reason)
    )
    try:
        while not isinstance(command := await anext(commands), Auth):
            refused = CommandError(ErrorCode.UNAUTHENTICATED, "say who you are first, by auth")
            link.write(codec.encode_error(refused, command.id))
        return command.id, await node.authenticator.by_token(command.token)
    finally:
        deadline.cancel()


async def _commands(
    inbox: Inbox, refuse: Callable[[Frame], None]
) -> AsyncGenerator[AnyCommand, None]:
    """The commands in what the peer says; what is none is answered with an error."""
    async for message in inbox:
        try:
            if isinstance(message, bytes):
                raise CommandError(ErrorCode.UNSUPPORTED, "send text: this is v1.json")
            command = codec.decode(message)
        except CommandError as refused:
            id = codec.decode_id(message) if isinstance(message, str) else None
            refuse(codec.encode_error(refused, id))
        else:
            yield command
