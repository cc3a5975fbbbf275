"""From what somebody wants to publish to a publication: checked and encoded once."""

import json
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import uuid4

from ..auth.base import Principal
from ..history.base import Draft
from ..protocol.codec import encode_body
from ..protocol.commands import Publish
from ..protocol.events import Member, Ok
from .namespaces import Namespace
from .node import Node


async def publish(node: Node, principal: Principal, wanted: Publish) -> Ok:
    """Publish for a principal, and say where it stands; id, time and sender are the server's."""
    namespace = await node.directory.writable(principal, wanted.channel)
    receipt = await node.hub.publish(namespace, compose(namespace, principal.member, wanted))
    return Ok(
        id=wanted.id,
        channel=wanted.channel,
        epoch=receipt and receipt.position.epoch,
        offset=receipt and receipt.position.offset,
        duplicate=receipt is not None and receipt.duplicate,
    )


def compose(namespace: Namespace, sender: Member, wanted: Publish) -> Draft:
    """What history takes; raises CommandError for data that is no payload of the namespace."""
    message_id, now = uuid4().hex, datetime.now(UTC)
    encoded = namespace.encode(wanted.data)
    sent_at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Draft(
        channel=wanted.channel,
        sender=sender.id,
        message_id=message_id,
        sent_at=now,
        body=encode_body(message_id, sent_at, sender, encoded, wanted.key),
        key=wanted.key,
        digest=None if wanted.key is None else _digest(encoded),
    )


def _digest(encoded: bytes) -> bytes:
    """Equal for equal data, whatever the order of its fields."""
    canonical = json.dumps(json.loads(encoded), sort_keys=True)
    return blake2b(canonical.encode(), digest_size=16).digest()
