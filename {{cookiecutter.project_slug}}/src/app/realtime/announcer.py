"""Sends publications that are not kept to every node, many at a time, in that order."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..broker.base import Broker, Kind, Packet
from ..history.base import Draft
from .waiting import Waiting


@dataclass(eq=False)
class Announcer(Waiting):
    """The one way out for what is not kept: what waits shares a round trip."""

    broker: Broker
    done = "sent"

    async def run(self) -> None:
        """Send what waits, batch by batch, until cancelled."""
        while True:
            await self.settle(await self.batch(), free=False)

    async def carry_out(self, drafts: Sequence[Draft]) -> Sequence[None]:
        """Send drafts to who follows their channels; there is nothing to tell of each."""
        packets = [Packet(Kind.MESSAGE, draft.channel, draft.body) for draft in drafts]
        await self.broker.publish(packets)
        return [None] * len(drafts)
