"""From what somebody wants to publish to a publication: checked and encoded once."""

import json
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from secrets import token_urlsafe
from time import time

from ..auth.base import SERVER, Principal
from ..budget import Want, too_much
from ..history.base import Draft, Outcome
from ..protocol.codec import encode_body
from ..protocol.commands import Publish
from ..protocol.errors import CommandError
from ..protocol.events import Member, Ok
from .hooks import revise
from .node import Node
from .waiting import Published

_PROCESS, _NUMBERS = token_urlsafe(6), count()
"""What makes a message's id: which process, and how many before."""


async def publish(node: Node, principal: Principal, wanted: Publish) -> Published:
    """Publish for a principal; id, time and sender are the server's."""
    namespace = await node.directory.writable(principal, wanted.channel)
    payload = namespace.check(wanted.data)
    said = namespace.encode(payload)
    if namespace.on_publish is None:
        cost = cost_of(node, principal)
        return node.hub.publish(namespace, compose(principal.member, wanted, said, cost=cost))
    # What a hook does cannot be taken back.
    await spend(node, principal)
    instead = await revise(namespace, node, principal, wanted.channel, payload)
    return node.hub.publish(namespace, compose(principal.member, wanted, said, instead))


def acknowledge(wanted: Publish, outcome: Outcome | None) -> Ok:
    """What the publisher hears; raises what history refused it with."""
    if isinstance(outcome, CommandError):
        raise outcome
    if outcome is None:
        return Ok(id=wanted.id, channel=wanted.channel, duplicate=False)
    epoch, offset, again = outcome.position.epoch, outcome.position.offset, outcome.duplicate
    return Ok(id=wanted.id, channel=wanted.channel, epoch=epoch, offset=offset, duplicate=again)


def compose(
    sender: Member,
    wanted: Publish,
    said: bytes,
    instead: bytes | None = None,
    cost: Want | None = None,
) -> Draft:
    """What history takes: the payload that was said, or another instead, both as JSON.

    A key stands for what was said.
    """
    message_id, (now, sent_at) = f"{_PROCESS}.{next(_NUMBERS):x}", _moment(int(time() * 1000))
    return Draft(
        channel=wanted.channel,
        sender=sender.id,
        message_id=message_id,
        sent_at=now,
        body=encode_body(message_id, sent_at, sender, instead or said, wanted.key),
        key=wanted.key,
        digest=None if wanted.key is None else _digest(said),
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


@lru_cache(maxsize=1)
def _moment(milliseconds: int) -> tuple[datetime, str]:
    """A time as it is stored and as it is said, made once for all messages of a millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment, moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _digest(encoded: bytes) -> bytes:
    """Equal for equal data, whatever the order of its fields."""
    canonical = json.dumps(json.loads(encoded), sort_keys=True)
    return blake2b(canonical.encode(), digest_size=16).digest()
