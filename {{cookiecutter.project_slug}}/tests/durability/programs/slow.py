"""The service on a database that takes its time, by a seed; the file `fault` may name a fault."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from app.__main__ import run
from app.broker.base import Packet
from app.database.base import Database
from app.database.models import Publication
from app.history.batch import Batch
from app.realtime.channel import LocalChannel
from app.realtime.mending import Mender

FAULT = Path("fault")
COLUMNS = Publication.__table__.columns
random = Random(sys.argv[1])


def planted(name: str) -> bool:
    """Whether there is this fault now."""
    return FAULT.exists() and FAULT.read_text() == name


def late() -> float:
    """Seconds that something takes: now and then longer than a node waits for what is missing."""
    return random.uniform(0.06, 0.2) if random.random() < 0.1 else random.uniform(0, 0.02)


def unlocked(batch: Batch, connection: Connection) -> list[dict[str, Any]]:
    """What was just numbered and stored under the lock, and is now stored no more."""
    mine = Publication.message_id.in_([draft.message_id for draft in batch.drafts])
    rows = [dict(row) for row in connection.execute(select(*COLUMNS).where(mine)).mappings()]
    connection.execute(delete(Publication).where(mine))
    return rows


async def run_slowly(
    database: Database, work: Callable[[Connection], Any], *, writes: bool = False
) -> Any:
    """A call to the database that is late before, while it holds its locks, and afterwards.

    Or one which numbers without the lock: what is numbered under it is stored after it.
    """
    rows: list[dict[str, Any]] = []
    batch = getattr(work, "__self__", None)

    def locked(connection: Connection) -> Any:
        result = work(connection)
        if isinstance(batch, Batch) and planted("number_without_the_lock"):
            rows.extend(unlocked(batch, connection))
        time.sleep(random.uniform(0, 0.005))
        return result

    await asyncio.sleep(late())
    result = await real_run(database, locked, writes=writes)
    if rows:
        await asyncio.sleep(random.uniform(0.2, 0.5))
        await real_run(database, lambda c: c.execute(insert(Publication), rows), writes=True)
    await asyncio.sleep(late())
    return result


async def compare(mender: Mender) -> None:
    """Compare what is here with what history has, or skip the sweep."""
    if not planted("skip_the_sweep"):
        await real_compare(mender)


def hand(channel: LocalChannel, *args: Any) -> None:
    """Hand frames to subscribers, or drop a delivery, one in twenty."""
    if not (planted("drop_a_delivery") and random.random() < 0.05):
        real_hand(channel, *args)


def accept(channel: LocalChannel, packets: Iterable[Packet]) -> None:
    """Accept what comes next, or ignore holes: then also what comes after something missing."""
    for packet in packets:
        here, there = channel.position, packet.position
        ahead = there is not None and channel.located and there.offset > here.offset + 1
        if there and ahead and planted("ignore_holes"):
            channel.position = replace(here, offset=there.offset - 1)
        real_accept(channel, (packet,))


def exchange(owner: type, name: str, instead: Callable[..., Any]) -> Callable[..., Any]:
    """Put something in the place of a method; what was there."""
    real: Callable[..., Any] = getattr(owner, name)
    setattr(owner, name, instead)
    return real


real_run = exchange(Database, "run", run_slowly)
real_compare = exchange(Mender, "_compare", compare)
real_hand = exchange(LocalChannel, "_hand", hand)
real_accept = exchange(LocalChannel, "accept", accept)

if __name__ == "__main__":
    run([])
