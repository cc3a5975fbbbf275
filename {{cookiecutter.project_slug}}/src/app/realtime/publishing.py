"""From what somebody wants to publish to a publication: checked and encoded once."""

import json
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from secrets import token_urlsafe
from time import time_ns

from pydantic import JsonValue

from ..auth.base import SERVER, Principal
from ..budget import Want, too_much
from ..history.base import Draft, Outcome
from ..protocol.codec import encode_body
from ..protocol.commands import Publish
from ..protocol.errors import CommandError
from ..protocol.events import Member, Ok
from .hooks import Operation, ask
from .node import Node
from .waiting import Published

_PROCESS, _NUMBERS = token_urlsafe(6), count()
"""What makes a message's id: which process, and how many before."""
_canonical = json.JSONEncoder(sort_keys=True).encode
"""Equal for equal data, whatever the order of its fields."""


async def publish(node: Node, principal: Principal, wanted: Publish) -> Published:
    """Publish for a principal; id, time and sender are the server's."""
    namespace = await node.directory.writable(principal, wanted.channel)
    payload, cost = namespace.check(wanted.data), cost_of(node, principal)
    said = namespace.encode(payload)
    if namespace.on_publish is not None:
        # What a hook does cannot be taken back.
        await spend(node, principal)
        operation = Operation(node, principal, wanted.channel, payload)
        said, cost = await ask(namespace.revise, operation) or said, None
    return node.hub.publish(namespace, compose(principal.member, wanted, said, cost))


def acknowledge(wanted: Publish, outcome: Outcome | None) -> Ok:
    """What the publisher hears; raises what history refused it with."""
    if isinstance(outcome, CommandError):
        raise outcome
    if outcome is None:
        return Ok(id=wanted.id, channel=wanted.channel, duplicate=False)
    epoch, offset, again = outcome.position.epoch, outcome.position.offset, outcome.duplicate
    return Ok(id=wanted.id, channel=wanted.channel, epoch=epoch, offset=offset, duplicate=again)


def compose(sender: Member, wanted: Publish, payload: bytes, cost: Want | None = None) -> Draft:
    """What history takes: the payload as JSON, which a hook may have changed.

    A key stands for what was wanted.
    """
    message_id = f"{_PROCESS}.{next(_NUMBERS):x}"
    return Draft(
        channel=wanted.channel,
        sender=sender.id,
        message_id=message_id,
        body=encode_body(message_id, _now(), sender, payload, wanted.key),
        key=wanted.key,
        digest=None if wanted.key is None else _digest(wanted.data),
        cost=cost,
    )


async def spend(node: Node, principal: Principal) -> None:
    """Use up one publication of a user's, over all nodes; refuse it if there is none left."""
    cost = cost_of(node, principal)
    if cost is not None:
        (wait,) = await node.hub.coordination.spend((cost,))
        if wait:
            raise too_much(wait)


def cost_of(node: Node, principal: Principal) -> Want | None:
    """What one publication uses up of a user's; servers have as many as they like."""
    if principal is SERVER:
        return None
    return _want(principal.user, node.limits.publishes_per_second, node.limits.publishes_burst)


@lru_cache(maxsize=4096)
def _want(user: str, rate: float, burst: int) -> Want:
    return Want(f"publish:{user}", rate, burst)


def _now() -> str:
    seconds, rest = divmod(time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1_000_000:03}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """A second in words, made once for all that is said in it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _digest(data: JsonValue) -> bytes:
    return blake2b(_canonical(data).encode(), digest_size=16).digest()
