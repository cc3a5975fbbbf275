"""A connection from its handshake to its end: commands in, an identity first, then a session."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from secrets import token_hex
from time import monotonic

import structlog

from .. import metrics
from ..auth.base import Principal
from ..protocol import codec
from ..protocol.commands import AnyCommand, Auth, Id
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from .link import Link
from .node import Node
from .rates import Allowance
from .session import Commands, Session

log = structlog.stdlib.get_logger(__name__)

Inbox = Callable[[], Awaitable[str | bytes | None]]
"""Gives the next message of the peer, text or binary; None once it is gone."""

Identify = Callable[[], Awaitable[Principal | None]]
"""Whom the handshake proves, or Disconnect; None: the first command has to be `auth`."""


async def serve(
    node: Node, link: Link, inbox: Inbox, identify: Identify, first: AnyCommand | None
) -> None:
    """Serve one connection to its end, in a task of its own.

    `first` is carried out on the client's behalf.
    """
    session_id, opened, allowance = token_hex(8), monotonic(), Allowance(node.limits)
    commands = partial(_next, inbox, link, allowance)
    structlog.contextvars.bind_contextvars(session=session_id)
    try:
        id: Id | None = None
        principal = await identify()
        if principal is None and (proof := await _proof(node, link, allowance, commands)):
            id, principal = proof.id, await node.authenticator.by_token(proof.token)
        if principal is not None:
            log.info("session opened", user=principal.user)
            session = Session(session_id, node, link, principal, allowance)
            await session.run(commands, id, first)
    except Disconnect as ended:
        link.end(ended.code, ended.reason)
    except CommandError:  # what is asked for who this is cannot be reached
        link.end(CloseCode.INTERNAL_ERROR)
    except asyncio.CancelledError:
        pass  # Nobody waits any more; uvicorn would log this as a mistake of ours.
    except Exception:
        log.exception("session failed")
        link.end(CloseCode.INTERNAL_ERROR)
    finally:
        log.info("session closed", code=link.code, seconds=round(monotonic() - opened, 3))


async def _proof(node: Node, link: Link, allowance: Allowance, commands: Commands) -> Auth | None:
    """The first `auth`; anything before it is refused, and time is limited."""
    end = partial(link.end, CloseCode.AUTHENTICATION_TIMED_OUT)
    deadline = node.wheel.schedule(node.limits.auth_seconds, end)
    try:
        while command := await commands():
            try:
                allowance.spend(command)
                if isinstance(command, Auth):
                    return command
                raise CommandError(ErrorCode.UNAUTHENTICATED, "say who you are first, by auth")
            except CommandError as refused:
                allowance.blame(refused)
                link.write(codec.encode_error(refused, command.id))
        return None
    finally:
        deadline.cancel()


async def _next(inbox: Inbox, link: Link, allowance: Allowance) -> AnyCommand | None:
    """The next command; what is none is answered with an error."""
    while (message := await inbox()) is not None:
        metrics.RECEIVED.inc()
        try:
            if isinstance(message, bytes):
                raise CommandError(ErrorCode.UNSUPPORTED, "send text: this is v1.json")
            return codec.decode(message)
        except CommandError as refused:
            allowance.blame(refused)
            id = codec.decode_id(message) if isinstance(message, str) else None
            link.write(codec.encode_error(refused, id))
    return None
