"""Asks the code of a feature before an operation is carried out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from ..auth.base import Principal
from ..protocol.errors import CommandError, ErrorCode

if TYPE_CHECKING:
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


async def ask(hook: Hook | None, operation: Operation) -> Any:
    """What a hook says, if there is one, in limited time; a mistake of it is logged and refused."""
    if hook is None:
        return None
    try:
        async with asyncio.timeout(operation.node.limits.command_seconds):
            try:
                return await hook(operation)
            except CommandError:
                raise
            except Exception:
                log.exception("a hook failed", channel=operation.channel)
                mistake = "the service made a mistake, try again"
                raise CommandError(ErrorCode.INTERNAL, mistake) from None
    except TimeoutError:
        raise CommandError(ErrorCode.TIMEOUT, "this took too long, try again") from None
