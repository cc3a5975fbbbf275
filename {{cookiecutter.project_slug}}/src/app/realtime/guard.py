"""Sees to it that nobody stays who may not: told at once, and found by looking now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ..auth.base import Principal
from ..auth.revocation import Revocations, read_order
from ..broker.base import Packet
from ..protocol.errors import CloseCode, Unavailable
from ..protocol.events import Unsubscribed

if TYPE_CHECKING:
    from .hub import Hub
    from .session import Session

log = structlog.stdlib.get_logger(__name__)

SLICE = 100
"""How many sessions are looked at before others have their turn."""


def obey(sessions: "Collection[Session]", packets: Iterable[Packet]) -> None:
    """End the connections that were revoked."""
    for order in map(read_order, packets):
        for session in list(sessions):
            if order.hits(session.id, session.principal):
                session.link.end(CloseCode.REVOKED)


def recheck(hub: "Hub", session: "Session") -> None:
    """End the subscriptions that policy no longer allows, and say so."""
    for name, namespace in list(session.subscriptions.items()):
        channel, policy = hub.channels.get(name), namespace.policy
        join = None if channel is None else channel.joins.get(session)
        if channel is None or (join is not None and join.task is None):
            continue  # It has yet to be answered, and was allowed a moment ago.
        presence = session in channel.watching
        rules = (policy.subscribe, policy.presence) if presence else (policy.subscribe,)
        if not all(rule(session.principal, name) for rule in rules):
            hub.unsubscribe(session, name)
            session.reply(Unsubscribed(channel=name, reason="policy changed"))


@dataclass(frozen=True, slots=True)
class Guard:
    """Finds what no packet told this node: a revocation that it missed, a rule that changed."""

    hub: "Hub"
    revocations: Revocations

    async def run(self) -> None:
        """Look every `sweep_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self.hub.limits.sweep_seconds)
            try:
                await self.look()
            except Unavailable:
                log.warning("who was revoked cannot be asked for")

    async def look(self) -> None:
        """Look at every session, in slices; last at the record, since that may be away."""
        await self._look(self.revocations.revoked, rechecks=True)
        await self._look(self.revocations.on_record, rechecks=False)

    async def _look(
        self, ask: Callable[[Sequence[Principal]], Awaitable[Sequence[bool]]], *, rechecks: bool
    ) -> None:
        everybody = list(self.hub.sessions.values())
        for start in range(0, len(everybody), SLICE):
            asked = [(each, each.principal) for each in everybody[start : start + SLICE]]
            revoked = await ask([principal for _, principal in asked])
            for (session, principal), over in zip(asked, revoked, strict=True):
                # Meanwhile it may have been refreshed, and that was looked at then.
                if over and session.principal is principal:
                    session.link.end(CloseCode.REVOKED)
                elif rechecks and session.id in self.hub.sessions:
                    recheck(self.hub, session)
            await asyncio.sleep(0)
