"""Looks now and then whether sessions may still be here, and in their channels."""

import asyncio
from dataclasses import dataclass

import structlog

from ..auth.revocation import Revocations
from ..protocol.errors import CloseCode, Unavailable
from .hub import Hub

log = structlog.stdlib.get_logger(__name__)

SLICE = 500
"""How many sessions one question is about."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Finds what no packet told this node: a revocation that it missed, a rule that changed."""

    hub: Hub
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
        """Look at every session, in slices."""
        everybody = list(self.hub.sessions.values())
        for start in range(0, len(everybody), SLICE):
            sessions = everybody[start : start + SLICE]
            principals = [session.principal for session in sessions]
            revoked = await self.revocations.revoked(principals)
            for session, over in zip(sessions, revoked, strict=True):
                if over:
                    session.end(CloseCode.REVOKED)
                elif session.subscriptions:
                    self.hub.recheck(session)
