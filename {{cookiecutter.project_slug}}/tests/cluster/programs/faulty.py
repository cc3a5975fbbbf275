"""The service; the file `fault` may name what is wrong with it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import random
from typing import Any

from app.__main__ import run
from app.broker.base import Packet
from app.history.base import Draft, Outcome, Receipt
from app.protocol.channels import Position
from app.realtime.channel import LocalChannel
from app.realtime.committer import Committer
from app.realtime.hub import Hub
from app.realtime.mending import Mender

FAULT = Path("fault")
given: dict[str, Position] = {}
"""The places that were acknowledged before anything was stored there."""


def planted(name: str) -> bool:
    """Whether there is this fault now."""
    return FAULT.exists() and FAULT.read_text() == name


async def compare(mender: Mender) -> None:
    """Look for what is missing, now and then and after a gap; or do not."""
    if not planted("skip_the_sweep"):
        await real_compare(mender)


def hand(channel: LocalChannel, *args: Any) -> None:
    """Hand frames to subscribers, or drop a delivery, one in twenty."""
    if not (planted("drop_deliveries") and random() < 0.05):
        real_hand(channel, *args)


def accept(channel: LocalChannel, packets: Iterable[Packet]) -> None:
    """Accept what comes next, or ignore holes: then also what comes after something missing."""
    for packet in packets:
        here, there = channel.position, packet.position
        ahead = there is not None and channel.located and there.offset > here.offset + 1
        if there and ahead and planted("ignore_holes"):
            channel.position = replace(here, offset=there.offset - 1)
        real_accept(channel, (packet,))


def submit(committer: Committer, draft: Draft) -> "asyncio.Future[Outcome]":
    """Have a draft stored, or forget what it is called: then a retry is another message."""
    nameless = draft._replace(key=None, digest=None)
    outcome: asyncio.Future[Outcome]
    outcome = real_submit(committer, nameless if planted("forget_keys") else draft)
    return outcome


async def append(committer: Committer, drafts: Sequence[Draft]) -> Sequence[Outcome]:
    """Store drafts; or say so, and do it later."""
    if not planted("acknowledge_early"):
        outcomes: Sequence[Outcome] = await real_append(committer, drafts)
        return outcomes
    tops = await committer.history.tops({draft.channel for draft in drafts})
    asyncio.get_running_loop().call_later(0.3, store, committer, drafts)
    return [guess(draft, tops[draft.channel]) for draft in drafts]


def store(committer: Committer, drafts: Sequence[Draft]) -> None:
    """Store what is acknowledged."""
    storing.append(asyncio.ensure_future(committer.history.append(drafts)))


def guess(draft: Draft, top: Position) -> Receipt:
    """What the store may say later."""
    before = max(top, given.get(draft.channel, top), key=lambda place: place.offset)
    given[draft.channel] = Position(top.epoch, before.offset + 1)
    return Receipt(given[draft.channel], draft.body)


def found(hub: Hub) -> None:
    """Begin with a history that may say that it began a new epoch, and does not."""
    real_found(hub)
    real_rotate, tops = hub.history.rotate, hub.history.tops

    async def rotate(channel: str, epoch: str) -> Position:
        if planted("stay_in_the_epoch"):
            return (await tops([channel]))[channel]
        return await real_rotate(channel, epoch)

    hub.history.rotate = rotate  # type: ignore[method-assign]


def exchange(owner: type, name: str, instead: Callable[..., Any]) -> Callable[..., Any]:
    """Put something in the place of a method; what was there."""
    real: Callable[..., Any] = getattr(owner, name)
    setattr(owner, name, instead)
    return real


storing: list[object] = []
real_compare = exchange(Mender, "_compare", compare)
real_hand = exchange(LocalChannel, "_hand", hand)
real_accept = exchange(LocalChannel, "accept", accept)
real_submit = exchange(Committer, "submit", submit)
real_append = exchange(Committer, "carry_out", append)
real_found = exchange(Hub, "__post_init__", found)

if __name__ == "__main__":
    run([])
