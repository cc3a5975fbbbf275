"""Sends publications that are not kept to every node, many at a time, in that order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from ..broker.base import Broker, Kind, Packet
from ..budget import too_much
from ..coordination.base import Coordination
from ..history.base import Draft
from ..protocol.errors import CommandError, ErrorCode
from .waiting import Published, Waiting, charge

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False)
class Announcer:
    """The one way out for what is not kept: what waits shares a round trip."""

    broker: Broker
    coordination: Coordination
    _waiting: Waiting = field(default_factory=Waiting)

    def submit(self, draft: Draft) -> Published:
        """Have a draft sent; the future has nothing then, or why it was not."""
        return self._waiting.submit(draft)

    async def run(self) -> None:
        """Send what waits, batch by batch, until cancelled."""
        while True:
            batch = await self._waiting.batch()
            refusals = await self._announce([draft for draft, _, _ in batch])
            for (_, outcome, _), refusal in zip(batch, refusals, strict=True):
                if not outcome.done():
                    outcome.set_result(refusal)

    async def _announce(self, drafts: Sequence[Draft]) -> Sequence[CommandError | None]:
        try:
            due = await charge(self.coordination, drafts)
            paid = [draft for draft, wait in zip(drafts, due, strict=True) if not wait]
            await self.broker.publish([_packet(draft) for draft in paid])
            return [too_much(wait) if wait else None for wait in due]
        except CommandError as error:
            refused = error
        except Exception:
            log.exception("publish failed", drafts=len(drafts))
            refused = CommandError(ErrorCode.INTERNAL, "the message could not be sent")
        return [refused] * len(drafts)


def _packet(draft: Draft) -> Packet:
    return Packet(Kind.MESSAGE, draft.channel, draft.body)
