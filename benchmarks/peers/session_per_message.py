"""The service with what one would write first: a session of the ORM for each publication."""

import runpy
from collections.abc import Sequence
from datetime import UTC, datetime

from app.database.models import Channel, Publication
from app.history.base import Draft, Receipt
from app.history.batch import Outcome, new_epoch
from app.history.sql import SqlHistory
from app.protocol.channels import Position
from app.protocol.errors import CommandError, ErrorCode
from app.realtime import waiting
from sqlalchemy import select


async def append(self: SqlHistory, drafts: Sequence[Draft]) -> Sequence[Outcome]:
    """Keep the only draft there is: lock its channel, look for its key, add it, commit."""
    (draft,) = drafts
    async with self.database.session(writes=True) as session:
        channel = await session.get(Channel, draft.channel, with_for_update=True)
        if channel is None:
            channel = Channel(name=draft.channel, epoch=new_epoch(), top=0, floor=0, emptied=0)
            session.add(channel)
        if draft.key is not None:
            same = select(Publication).where(
                Publication.channel == draft.channel,
                Publication.sender == draft.sender,
                Publication.key == draft.key,
            )
            if (stored := await session.scalar(same)) is not None:
                if stored.digest != draft.digest:
                    return [CommandError(ErrorCode.CONFLICT, "this key stands for other data")]
                position = Position(channel.epoch, stored.offset)
                return [Receipt(position, stored.body.encode(), duplicate=True)]
        now = datetime.now(UTC)
        channel.top += 1
        channel.oldest_at = channel.oldest_at or now
        session.add(
            Publication(
                channel=draft.channel,
                offset=channel.top,
                message_id=draft.message_id,
                sender=draft.sender,
                stored_at=now,
                body=draft.body.decode(),
                key=draft.key,
                digest=draft.digest,
            )
        )
        await session.commit()
        return [Receipt(Position(channel.epoch, channel.top), draft.body)]


if __name__ == "__main__":
    waiting.MOST_AT_ONCE = 1
    SqlHistory.append = append
    runpy.run_module("app", run_name="__main__")
