"""What history in a database does beyond the contract: how it fails, and how it forgets."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from app.history import retention, sql
from app.history.batch import Key, Row, Statements
from app.history.sql import SqlHistory
from app.protocol.errors import Unavailable

from ..databases import KINDS, own_database
from ..nearby import Clock
from ..service import PATIENCE
from .drafts import draft, drafts, stored

CHANNELS = ("test:a", "test:b", "test:c", "test:d")


@pytest.fixture
def clock() -> Clock:
    """The time of the history."""
    return Clock()


@pytest.fixture
async def history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> AsyncIterator[SqlHistory]:
    """A history of its own, which keeps one publication of a channel."""
    settings = {"APP_HISTORY_LENGTH": "1", **own_database(tmp_path)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    async with import_module(f"app.history.{KINDS[0]}").open_history(clock) as history:
        yield history


class Failing:
    """Statements of which the batch fails, then the third that is stored by itself."""

    def __init__(self, inner: Statements) -> None:
        self._inner = inner
        self.stored = 0

    def lock(self, connection: Connection, names: Sequence[str]) -> Iterable[tuple[str, str, int]]:
        return self._inner.lock(connection, names)

    def known(
        self, connection: Connection, keys: Sequence[Key]
    ) -> Iterable[tuple[str, str, str, int, bytes | None, str]]:
        return self._inner.known(connection, keys)

    def store(
        self, connection: Connection, rows: Sequence[Row], tops: Mapping[str, int], now: datetime
    ) -> None:
        if len(rows) > 1:
            raise IntegrityError(None, None, Exception("one of them is wrong"))
        self.stored += 1
        if self.stored == 3:
            raise OperationalError(None, None, Exception("away"))
        self._inner.store(connection, rows, tops, now)


async def test_what_is_stored_has_its_receipt_whatever_becomes_of_the_rest(
    history: SqlHistory,
) -> None:
    """Else it would be said twice by whoever says it again without a key."""
    failing = Failing(history._statements)
    history._statements = failing
    outcomes = await history.append(drafts("test:a", 5))
    assert [stored(each).position.offset for each in outcomes[:2]] == [1, 2]
    assert all(isinstance(each, Unavailable) for each in outcomes[2:])
    assert failing.stored == 3
    assert (await history.tops(["test:a"]))["test:a"].offset == 2


async def test_nothing_is_written_for_what_only_waits_until_its_key_may_be_forgotten(
    history: SqlHistory, clock: Clock
) -> None:
    for number in range(3):
        await history.append([draft(name, "x", key=str(number)) for name in CHANNELS])
    async with asyncio.timeout(PATIENCE):
        while await history.prune():
            pass
    history.database.reachable = False
    assert await history.prune() == 0
    history.database.reachable = True
    clock.advance(retention.KEY_SECONDS + 1)
    assert [await history.prune(), await history.prune()] == [8, 0]


async def test_a_channel_that_always_has_more_takes_no_others_turn(
    history: SqlHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_CHANNELS", 2)
    monkeypatch.setattr(sql, "MOST_DELETED", 4)
    await history.append([each for name in CHANNELS for each in drafts(name, 9)])
    for _ in range(20):
        await history.append(drafts("test:a", 4))
        assert 0 < await history.prune() <= 4
    for name in CHANNELS[1:]:
        assert [each.offset for each in (await history.read(name, limit=9)).publications] == [9]

    def rows(connection: Connection) -> int:
        statement = "SELECT count(*) FROM publications WHERE channel <> 'test:a'"
        count: int = connection.exec_driver_sql(statement).scalar_one()
        return count

    assert await history.database.run(rows) == len(CHANNELS) - 1
