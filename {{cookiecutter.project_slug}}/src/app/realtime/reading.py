"""A page of a channel's history as clients get it, over the socket and over REST."""

from ..history.base import History as Store
from ..protocol.channels import Position
from ..protocol.codec import encode_message, encode_with
from ..protocol.commands import History
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.events import HistoryPage
from ..protocol.frames import Frame, fitting


async def read_page(store: Store, wanted: History, most: int) -> Frame:
    """The `history` reply: next after, or next before, an offset; else the newest.

    Its messages have at most so many bytes, unless it is one. Raises
    UNRECOVERABLE if the offset belongs to another epoch.
    """
    channel, after, before, limit = wanted.channel, wanted.after, wanted.before, wanted.limit
    if after is not None and before is not None:
        raise CommandError(ErrorCode.INVALID_MESSAGE, "give after or before", field="before")
    # One more than asked for tells whether there is more.
    page = await store.read(channel, after=after, before=before, limit=limit + 1)
    epoch, top, found = page.epoch, page.top, page.publications
    if wanted.epoch not in (None, "", epoch):
        raise CommandError(ErrorCode.UNRECOVERABLE, "the numbering began anew", field="epoch")
    frames = [encode_message(channel, Position(epoch, each.offset), each.body) for each in found]
    if after is not None:
        kept = frames[: min(limit, fitting(frames, most))]
    else:
        kept = frames[-min(limit, fitting(reversed(frames), most)) :]
    more = len(kept) < len(frames)
    reply = HistoryPage(id=wanted.id, channel=channel, epoch=epoch, offset=top, has_more=more)
    return encode_with(reply, messages=kept)
