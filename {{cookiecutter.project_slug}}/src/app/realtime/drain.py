"""Leaving well: clients move to another node one after another, not all in the same instant."""

import asyncio
import random
from collections.abc import Collection
from functools import partial

import structlog

from ..protocol.errors import CloseCode
from ..protocol.events import Reconnect
from .node import Node
from .wheel import TICK

log = structlog.stdlib.get_logger(__name__)

SLICE = 100
"""How many clients are told before others have their turn: each gets a message of its own."""


async def drain(node: Node, window: float) -> None:
    """Let nobody in, ask each client to move, and end its connection a third of the window later.

    Delays are spread evenly, so the ends are too, whether clients move or not. Returns when nobody
    is left, or when the window is over and every connection has got its end.
    """
    sessions, begun = node.hub.sessions, asyncio.get_running_loop().time()
    log.info("draining", sessions=len(sessions), seconds=window)
    node.gate.closed = True
    leaving = list(sessions.values()) if window else []
    random.shuffle(leaving)
    patience = window / 3
    for place, session in enumerate(leaving):
        delay = (window - patience) * place / len(leaving)
        after, deadline = round(delay * 1000), round((delay + patience) * 1000)
        session.reply(Reconnect(after_ms=after, deadline_ms=deadline))
        node.wheel.schedule(delay + patience, partial(session.link.end, CloseCode.DRAIN))
        if place % SLICE == 0:
            await asyncio.sleep(0)
    await until_gone(sessions, begun + window - asyncio.get_running_loop().time())
    # Among them who was still proving who they are when it began.
    for session in list(sessions.values()):
        session.link.end(CloseCode.DRAIN)


async def until_gone(sessions: Collection[object], seconds: float) -> None:
    """Return when nobody is left, or after so long."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while sessions and clock() < end:
        await asyncio.sleep(TICK)
