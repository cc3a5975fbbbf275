"""Asks the code of a feature before an operation is carried out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from ..auth.base import Principal
from ..protocol.errors import CommandError, ErrorCode

if TYPE_CHECKING:
    from .namespaces import Namespace
    from .node import Node

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a principal is about to do in a channel that exists, and that policy allows."""

    node: "Node"
    principal: Principal
    channel: str
    data: Any = None
    """What is to be published, as the payload that it was validated to."""


Hook = Callable[[Operation], Awaitable[Any]]
"""Refuses an operation by a CommandError, or lets it be; may say what to publish instead."""


async def admit(namespace: "Namespace", node: "Node", principal: Principal, channel: str) -> None:
    """Ask whether the principal may subscribe, read history and see who is here."""
    if namespace.on_subscribe is not None:
        async with _asking(node, channel):
            await namespace.on_subscribe(Operation(node, principal, channel))


async def revise(
    namespace: "Namespace", node: "Node", principal: Principal, channel: str, data: Any
) -> bytes | None:
    """Ask whether the principal may publish this, and what instead: a payload as JSON, or None."""
    if namespace.on_publish is None:
        return None
    async with _asking(node, channel):
        instead = await namespace.on_publish(Operation(node, principal, channel, data))
        try:
            return None if instead is None else namespace.encode(namespace.check(instead))
        except CommandError as wrong:
            raise TypeError(f"what on_publish returned is no payload: {wrong.message}") from None


@asynccontextmanager
async def _asking(node: "Node", channel: str) -> AsyncIterator[None]:
    """Limit the time; log what is no refusal, and answer the command with `internal`."""
    try:
        async with asyncio.timeout(node.limits.command_seconds):
            try:
                yield
            except CommandError:
                raise
            except Exception:
                log.exception("a hook failed", channel=channel)
                mistake = "the service made a mistake, try again"
                raise CommandError(ErrorCode.INTERNAL, mistake) from None
    except TimeoutError:
        raise CommandError(ErrorCode.TIMEOUT, "this took too long, try again") from None
