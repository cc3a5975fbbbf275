"""A page of a channel's history as clients get it, over the socket and over REST."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..history.base import History as Store
from ..protocol.channels import START, Position
from ..protocol.codec import encode_message
from ..protocol.commands import History
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.frames import Frame
from .namespaces import Namespace


@dataclass(frozen=True, slots=True)
class Stretch:
    """Messages as they were pushed, ascending, and where the channel stood when they were read."""

    frames: Sequence[Frame]
    position: Position
    has_more: bool
    """Whether more lies in the direction of reading."""


async def read_page(store: Store, namespace: Namespace, wanted: History) -> Stretch:
    """Next after, or next before, an offset; else the newest.

    Raises UNRECOVERABLE if the offset belongs to another epoch.
    """
    if wanted.after is not None and wanted.before is not None:
        raise CommandError(ErrorCode.INVALID_MESSAGE, "give after or before", field="before")
    if not namespace.durable:
        return Stretch((), START, has_more=False)
    channel, after, limit = wanted.channel, wanted.after, wanted.limit
    # One more than asked for tells whether there is more.
    page = await store.read(channel, after=after, before=wanted.before, limit=limit + 1)
    if wanted.epoch not in (None, "", page.epoch):
        raise CommandError(ErrorCode.UNRECOVERABLE, "the numbering began anew", field="epoch")
    kept = page.publications[:limit] if after is not None else page.publications[-limit:]
    frames = [encode_message(channel, Position(page.epoch, p.offset), p.body) for p in kept]
    return Stretch(frames, Position(page.epoch, page.top), len(page.publications) > limit)
