"""What of a channel somebody asks to see, over the socket and over REST: a page, or who is here."""

from ..auth.base import Principal
from ..protocol.channels import Position
from ..protocol.codec import encode_message, encode_with
from ..protocol.commands import History, Presence
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.events import HistoryPage, PresenceReply
from ..protocol.frames import Frame, fitting
from .hooks import Operation, ask
from .node import Node


async def read_page(node: Node, principal: Principal, wanted: History) -> Frame:
    """The `history` reply: next after, or next before, an offset; else the newest.

    Its messages have at most as many bytes as an outbox, unless it is one. Raises
    UNRECOVERABLE if the offset belongs to another epoch.
    """
    channel, after, before, limit = wanted.channel, wanted.after, wanted.before, wanted.limit
    namespace = await node.directory.readable(principal, channel)
    await ask(namespace.on_subscribe, Operation(node, principal, channel))
    if after is not None and before is not None:
        raise CommandError(ErrorCode.INVALID_MESSAGE, "give after or before", field="before")
    # One more than asked for tells whether there is more.
    page = await node.hub.history.read(channel, after=after, before=before, limit=limit + 1)
    epoch, top, found = page.epoch, page.top, page.publications
    if wanted.epoch not in (None, "", epoch):
        raise CommandError(ErrorCode.UNRECOVERABLE, "the numbering began anew", field="epoch")
    frames = [encode_message(channel, Position(epoch, each.offset), each.body) for each in found]
    most = node.limits.outbox_bytes
    if after is not None:
        kept = frames[: min(limit, fitting(frames, most))]
    else:
        kept = frames[-min(limit, fitting(reversed(frames), most)) :]
    more = len(kept) < len(frames)
    reply = HistoryPage(id=wanted.id, channel=channel, epoch=epoch, offset=top, has_more=more)
    return encode_with(reply, messages=kept)


async def read_presence(node: Node, principal: Principal, wanted: Presence) -> PresenceReply:
    """The `presence` reply: who is in a channel, over all nodes."""
    channel = wanted.channel
    namespace = await node.directory.readable(principal, channel, presence=True)
    await ask(namespace.on_subscribe, Operation(node, principal, channel))
    roster = await node.hub.roster(channel)
    return PresenceReply(id=wanted.id, channel=channel, **dict(roster))
