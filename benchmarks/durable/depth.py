"""What the length of a channel costs; it runs in the project's environment, on an empty database.

A short channel and a long one are read, asked for their top and appended to, in turns; then
retention takes from the long one while somebody publishes there. What each took is said as JSON.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from statistics import median
from typing import Any

from app.adapters import open_history
from app.database.models import Moment
from app.history.base import Draft
from app.history.sql import SqlHistory
from sqlalchemy import Connection, Engine, bindparam, event, text

from benchmarks.driver.meter import cpu_by_process

PAGE, BATCH = 101, 10
AT_ONCE, WARM_UP = 5, 3
"""Acts that are timed together, and turns that do not count."""
THEN = bindparam("then", datetime.now(UTC) - timedelta(hours=1), Moment)
"""When all was stored that the channels begin with: its keys may be forgotten."""
FILL = text("""
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :length)
    INSERT INTO publications (channel, "offset", message_id, sender, stored_at, body, key)
    SELECT :channel, n, 'm' || n, 'u' || n % 50, :then, :body, 'k' || n FROM numbers
""").bindparams(THEN)
BEGIN = text("""
    INSERT INTO channels (name, epoch, top, floor, emptied, oldest_at)
    VALUES (:channel, 'e', :length, 0, 0, :then)
""").bindparams(THEN)
BODY = '"message_id":"m","sent_at":"2030-01-01T00:00:00.000Z","from":{"id":"u"},"data":"%s"' % (
    "x" * 150
)

Act = Callable[[str], Awaitable[object]]
Took = tuple[float, float, float]
"""Seconds: of CPU here, of CPU of the database's server, on the wall."""
numbers, places = count(), Random(0)


def drafts(channel: str, many: int) -> list[Draft]:
    """Something to append, each with a key of its own."""
    names = [f"n{next(numbers)}" for _ in range(many)]
    return [Draft(channel, "u1", each, BODY.encode(), each, bytes(16)) for each in names]


async def fill(lengths: dict[str, int]) -> None:
    """Channels of these lengths, each by one statement."""

    def work(connection: Connection) -> None:
        for channel, length in lengths.items():
            values = {"channel": channel, "length": length}
            connection.execute(BEGIN, values)
            connection.execute(FILL, values | {"body": BODY})
        connection.execute(text("ANALYZE"))

    async with open_history() as history:
        await history.database.run(work, writes=True)


def acts(history: SqlHistory, lengths: dict[str, int]) -> dict[str, Act]:
    """What is done to a channel, anywhere in it."""

    async def after(channel: str) -> object:
        place = places.randrange(lengths[channel] - PAGE)
        return await history.read(channel, after=place, limit=PAGE)

    async def before(channel: str) -> object:
        place = places.randrange(PAGE, lengths[channel])
        return await history.read(channel, before=place, limit=PAGE)

    return {
        "the newest page": lambda channel: history.read(channel, limit=PAGE),
        "a page after a place": after,
        "a page before a place": before,
        "the top": lambda channel: history.tops([channel]),
        f"an append of {BATCH}": lambda channel: history.append(drafts(channel, BATCH)),
    }


async def timed(act: Act, channel: str, server: int) -> Took:
    """One act, as the mean of some."""
    there, here, wall = cpu_by_process(server), time.process_time(), time.perf_counter()
    for _ in range(AT_ONCE):
        await act(channel)
    took = time.process_time() - here, time.perf_counter() - wall
    beside = sum(cpu_by_process(server).values()) - sum(there.values())
    return took[0] / AT_ONCE, beside / AT_ONCE, took[1] / AT_ONCE


async def compared(
    history: SqlHistory, lengths: dict[str, int], turns: int, server: int
) -> dict[str, dict[str, list[float]]]:
    """Each act on each channel, in turns; medians."""
    seen: dict[tuple[str, str], list[Took]] = {}
    for turn in range(-WARM_UP, turns):
        for name, act in acts(history, lengths).items():
            for channel in lengths:
                took = await timed(act, channel, server)
                if turn >= 0:
                    seen.setdefault((name, channel), []).append(took)
    found: dict[str, dict[str, list[float]]] = {}
    for (name, channel), each in seen.items():
        found.setdefault(name, {})[channel] = [median(column) for column in zip(*each, strict=True)]
    return found


async def pruned(channel: str, steps: int, server: int) -> dict[str, Any]:
    """Retention takes from a channel: what a step costs, and how long others wait for it."""
    os.environ["APP_HISTORY_LENGTH"] = "1000"
    async with open_history() as history:
        alone = [await timed(lambda _: history.prune(), channel, server) for _ in range(steps)]
        waits: list[float] = []

        async def prune() -> None:
            for _ in range(steps):
                await history.prune()

        pruning = asyncio.create_task(prune())
        while not pruning.done():
            begin = time.perf_counter()
            await history.append(drafts(channel, 1))
            waits.append(time.perf_counter() - begin)
        await pruning
    return {"steps": alone, "waits": waits}


async def scans(history: SqlHistory, statements: dict[str, Any]) -> list[str]:
    """Those of the statements for which the database would read all publications."""

    def work(connection: Connection) -> list[str]:
        how = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        found = []
        for statement, values in statements.items():
            rows = connection.exec_driver_sql(f"{how} {statement}", values)
            plan = "; ".join(str(row[-1]).strip() for row in rows)
            if re.search(r"\bscan (on )?(publications|p)\b", plan, re.IGNORECASE):
                found.append(f"{statement}: {plan}")
        return found

    return await history.database.run(work)


async def main(short: int, long: int, turns: int, steps: int, server: int) -> dict[str, Any]:
    """Everything, of a database that has nothing yet."""
    statements: dict[str, Any] = {}

    def noted(_: object, __: object, statement: str, values: Any, ___: object, many: bool) -> None:
        if "publications" in statement:
            statements[statement] = values[0] if many else values

    os.environ["APP_DATABASE_SECONDS"] = "600"
    lengths = {str(length): length for length in (short, long)}
    begin = time.monotonic()
    await fill(lengths)
    del os.environ["APP_DATABASE_SECONDS"]
    filled = time.monotonic() - begin
    event.listen(Engine, "before_cursor_execute", noted)
    async with open_history() as history:
        seen = await compared(history, lengths, turns, server)
        prune = await pruned(str(long), steps, server)
        found = await scans(history, dict(statements))
    return {"seconds": filled, "acts": seen, "prune": prune, "scans": found}


if __name__ == "__main__":
    print(f"\n{json.dumps(asyncio.run(main(**json.loads(sys.argv[1]))))}")
