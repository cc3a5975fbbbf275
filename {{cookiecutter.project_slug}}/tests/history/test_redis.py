"""What Redis history does when a server loses something, takes no writes or is not heard."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import pytest
from redis.client import Redis

from app.broker.base import Kind, Packet
from app.broker.packets import encode
from app.budget import Want
from app.coordination.redis import open_coordination
from app.history.redis import RedisHistory, open_history
from app.protocol.channels import START, Position
from app.protocol.errors import CommandError, ErrorCode, Unavailable

from ..cluster.proxy import proxy
from ..cluster.store import VARIABLE, Keeps, Store, own_store
from .drafts import draft, drafts, stored

CHANNEL = "chat:lobby"
META, LOG = "app:{chat:lobby}:meta", "app:{chat:lobby}:log"
WAYS = ("append", "read", "tops", "rotate")
DAY = 86_400_000
"""Milliseconds."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A server of one's own, which keeps what it is told to save."""
    with own_store(tmp_path, Keeps.NOTHING) as own:
        yield own


@asynccontextmanager
async def opened(url: str, **settings: str) -> AsyncIterator[RedisHistory]:
    """History on a server, as a node has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("APP_REDIS_PREFIX", raising=False)
        for name, value in {VARIABLE: url, **settings}.items():
            patch.setenv(name, value)
        async with open_history() as history:
            yield history


@pytest.fixture
async def history(store: Store) -> AsyncIterator[RedisHistory]:
    """History on that server."""
    async with opened(store.url) as history:
        yield history


async def place(history: RedisHistory, way: str, epoch: str) -> Position:
    """Where the channel stands, as one finds it out in this way."""
    if way == "append":
        (outcome,) = await history.append([draft(CHANNEL, "x")])
        return stored(outcome).position
    if way == "read":
        page = await history.read(CHANNEL, limit=1)
        return Position(page.epoch, page.top)
    if way == "tops":
        return (await history.tops([CHANNEL]))[CHANNEL]
    return await history.rotate(CHANNEL, epoch)


async def fill(history: RedisHistory, count: int) -> Position:
    """Publish so many; where the last one is."""
    return [stored(each).position for each in await history.append(drafts(CHANNEL, count))][-1]


async def offsets(history: RedisHistory) -> list[int]:
    """What is kept."""
    return [each.offset for each in (await history.read(CHANNEL, after=0, limit=1000)).publications]


def port_of(store: Store) -> int:
    """Where it listens."""
    return urlsplit(store.url).port or 0


def save_and_restart(store: Store) -> None:
    """Have it end and start again, with all that it had."""
    store.ask("SAVE")
    store.kill()
    store.start()


# another life of the server


@pytest.mark.parametrize("way", WAYS)
async def test_after_a_restart_an_epoch_begins_by_whoever_comes_first(
    store: Store, way: str
) -> None:
    async with opened(store.url) as history:
        before = await fill(history, 5)
        bodies = (await history.read(CHANNEL, after=0, limit=10)).publications
    await asyncio.to_thread(save_and_restart, store)
    async with opened(store.url) as history:
        first = await place(history, way, before.epoch)
        assert first.epoch not in ("", before.epoch)
        assert first.offset == 5 + (way == "append")
        assert (await history.read(CHANNEL, after=0, limit=5)).publications == bodies
        for other in WAYS[:3]:
            assert (await place(history, other, before.epoch)).epoch == first.epoch


async def test_it_begins_once_however_many_come_first(store: Store) -> None:
    async with opened(store.url) as history:
        before = await fill(history, 5)
    await asyncio.to_thread(save_and_restart, store)
    async with opened(store.url) as one, opened(store.url) as other:
        found = await asyncio.gather(
            *(
                place(node, way, before.epoch)
                for _ in range(10)
                for way in WAYS
                for node in (one, other)
            )
        )
        assert {each.epoch for each in found} == {found[0].epoch} != {before.epoch}
        assert await offsets(one) == list(range(1, 26))


@pytest.mark.parametrize("way", WAYS)
async def test_one_that_went_back_in_time_hands_out_no_place_twice(store: Store, way: str) -> None:
    async with opened(store.url) as history:
        saved = await fill(history, 100)
        store.ask("SAVE")
        lost = [stored(each).position for each in await history.append(drafts(CHANNEL, 20))]
    store.kill()
    store.start()
    async with opened(store.url) as history:
        await place(history, way, saved.epoch)
        new = [stored(each).position for each in await history.append(drafts(CHANNEL, 30))]
        assert new[0].offset <= lost[0].offset + 1
        assert not {*new} & {*lost}


async def test_a_lossless_one_goes_on_as_if_nothing_had_been(store: Store) -> None:
    async with opened(store.url, APP_REDIS_LOSSLESS="true") as history:
        before = await fill(history, 5)
    await asyncio.to_thread(save_and_restart, store)
    async with opened(store.url, APP_REDIS_LOSSLESS="true") as history:
        for way in WAYS[:3]:
            assert (await place(history, way, before.epoch)).epoch == before.epoch
    async with opened(store.url) as history:
        assert (await place(history, "tops", "")).epoch != before.epoch, "nobody vouches any more"


async def test_that_a_lossless_one_lost_something_is_left_to_who_was_further(store: Store) -> None:
    async with opened(store.url, APP_REDIS_LOSSLESS="true") as history:
        saved = await fill(history, 5)
        store.ask("SAVE")
        await fill(history, 5)
    store.kill()
    store.start()
    async with opened(store.url, APP_REDIS_LOSSLESS="true") as history:
        assert await place(history, "tops", "") == saved
        rotated = await asyncio.gather(*(place(history, "rotate", saved.epoch) for _ in range(9)))
        assert {*rotated} == {await place(history, "tops", "")} != {saved}


async def test_a_server_that_is_promoted_again_may_have_lost_something(
    store: Store, tmp_path: Path
) -> None:
    """It ran all the time, and had what another one had in between."""
    with own_store(tmp_path / "other", Keeps.NOTHING) as other:
        follow(other, store)
        async with opened(store.url) as history:
            before = await fill(history, 5)
            while other.ask("HGET", META, "top") != b"5":
                await asyncio.sleep(0.01)
            other.ask("REPLICAOF", "NO", "ONE")
            lost = [stored(each).position for each in await history.append(drafts(CHANNEL, 5))]
        follow(store, other)
        store.ask("REPLICAOF", "NO", "ONE")
        async with opened(store.url) as history:
            assert (await place(history, "tops", "")).offset == 5
            new = [stored(each).position for each in await history.append(drafts(CHANNEL, 5))]
        assert before.epoch == lost[0].epoch != new[0].epoch


def follow(one: Store, other: Store) -> None:
    """Have one server take over what another has."""
    other.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    one.ask("REPLICAOF", "127.0.0.1", str(port_of(other)))
    while one.ask("INFO", "replication")["master_link_status"] != "up":
        sleep(0.01)


# a channel that was lost, or half of it


@pytest.mark.parametrize("loss", [("FLUSHALL",), ("DEL", META), ("PEXPIRE", META, "0")])
async def test_a_channel_that_is_gone_is_a_new_one(
    store: Store, history: RedisHistory, loss: tuple[str, ...]
) -> None:
    before = await fill(history, 5)
    await history.append([draft(CHANNEL, "k", key="k")])
    store.ask(*loss)
    for form in ({"after": 0}, {"before": 9}, {}):
        page = await history.read(CHANNEL, **form, limit=10)
        assert (page.epoch, page.top, page.publications) == (START.epoch, 0, [])
    assert await place(history, "tops", "") == START
    assert await place(history, "rotate", before.epoch) == START
    first = await place(history, "append", "")
    assert first.offset == 1 and first.epoch not in ("", before.epoch)
    assert await offsets(history) == [1], "what was left of it is not taken for what is new"
    (again,) = await history.append([draft(CHANNEL, "k", key="k")])
    assert stored(again).position == Position(first.epoch, 2)
    assert not stored(again).duplicate, "the key stood for what was lost"


async def test_a_channel_that_lost_its_publications_goes_on_counting(
    store: Store, history: RedisHistory
) -> None:
    before = await fill(history, 5)
    store.ask("DEL", LOG)
    assert await place(history, "tops", "") == before
    assert await offsets(history) == []
    assert await fill(history, 1) == Position(before.epoch, 6)
    assert await offsets(history) == [6], "who was at 3 sees that 4 is not there"


async def test_publications_ahead_of_the_counter_begin_an_epoch(
    store: Store, history: RedisHistory
) -> None:
    """As where somebody copied key by key, while others wrote."""
    before = await fill(history, 5)
    store.ask("XADD", LOG, "9-0", "t", "1", "b", "x")
    assert 9 not in await offsets(history)
    after = await fill(history, 2)
    assert after.epoch != before.epoch
    assert (after.offset, await offsets(history)) == (7, [6, 7])


async def test_evicting_whatever_there_is_hands_out_no_place_twice(
    store: Store, history: RedisHistory
) -> None:
    used = int(store.ask("INFO", "memory")["used_memory"])
    store.ask("CONFIG", "SET", "maxmemory", str(used + 2_000_000))
    store.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    handed: list[tuple[str, Position]] = []
    for number in range(60):
        said = [
            draft(f"chat:{each % 20}", "x" * 1000, key=f"{number}.{each}") for each in range(40)
        ]
        outcomes = await history.append(said)
        handed += [(d.channel, stored(o).position) for d, o in zip(said, outcomes, strict=True)]
    assert int(store.ask("INFO", "stats")["evicted_keys"]) > 500
    assert len(handed) == len({*handed}) == 2400


# time


OLD_AND_NEW = """for offset = 1, 450 do
    redis.call('XADD', KEYS[1], offset, 't', offset <= 350 and 1 or 2^45, 'b', 'x')
end"""


async def test_what_is_too_old_goes_bit_by_bit_and_nothing_else(
    store: Store, history: RedisHistory
) -> None:
    epoch = (await fill(history, 450)).epoch
    store.ask("DEL", LOG)
    store.ask("EVAL", OLD_AND_NEW, "1", LOG)
    assert (await offsets(history))[0] == 201
    assert await fill(history, 1) == Position(epoch, 451)
    assert await offsets(history) == list(range(351, 452))


async def test_what_is_kept_for_how_long_goes_by_itself(store: Store) -> None:
    """Even for less than a second, and for longer than Redis can count."""
    for seconds, kept in (("0.75", 750), ("3600.0", 3_600_000), ("1e300", 10**15)):
        async with opened(store.url, APP_HISTORY_SECONDS=seconds) as history:
            store.ask("FLUSHALL")
            await history.append([draft(CHANNEL, "x", key="k")])
            key = "app:{chat:lobby}:key:3:ann:k"
            log, meta, known = (store.ask("PTTL", name) for name in (LOG, META, key))
            assert kept - 700 < log <= kept
            assert kept + 29 * DAY < meta <= kept + 30 * DAY
            assert 290_000 < known <= 300_000


async def test_a_channel_that_somebody_follows_is_not_forgotten(
    store: Store, history: RedisHistory
) -> None:
    await fill(history, 1)
    store.ask("CONFIG", "RESETSTAT")
    for way in ("read", "tops"):
        await place(history, way, "")
    assert not {"cmdstat_pexpire", "cmdstat_hset"} & {*store.ask("INFO", "commandstats")}
    for way in WAYS:
        store.ask("PEXPIRE", META, str(25 * DAY))
        await place(history, way, "")
        assert store.ask("PTTL", META) > 29 * DAY


async def test_many_channels_are_few_scripts(store: Store, history: RedisHistory) -> None:
    store.ask("CONFIG", "RESETSTAT")
    names = [f"chat:{number}" for number in range(2_000)]
    assert await history.tops(names) == dict.fromkeys(names, START)
    assert store.ask("INFO", "commandstats")["cmdstat_evalsha"]["calls"] == 19  # and one EVAL


# what a publication costs


async def test_a_budget_is_one_for_whatever_spends_it_wherever(
    store: Store, history: RedisHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = Want("publish:ann", rate=0.001, burst=4)
    said = [draft(CHANNEL, str(number), key=str(number))._replace(cost=cost) for number in range(4)]
    monkeypatch.setenv(VARIABLE, store.url)
    monkeypatch.delenv("APP_REDIS_PREFIX", raising=False)
    async with opened(store.url) as other, open_coordination() as coordination:
        assert await coordination.spend([cost]) == [0.0]
        paid = [*await history.append(said[:2]), *await other.append(said[2:3])]
        assert [stored(each).position.offset for each in paid] == [1, 2, 3]
        (refused,) = await other.append(said[3:])
        assert isinstance(refused, CommandError) and refused.code is ErrorCode.RATE_LIMITED
        assert 900 < (refused.retry_after or 0) <= 1000
        assert (await coordination.spend([cost]))[0] > 900
    assert await offsets(history) == [1, 2, 3]
    assert store.ask("EXISTS", "app:{chat:lobby}:key:3:ann:3") == 0


async def test_a_clock_that_goes_back_takes_no_more_than_the_budget(
    store: Store, history: RedisHistory
) -> None:
    cost = Want("publish:ann", rate=2, burst=4)
    store.ask("SET", "app:budget:publish:ann", str(2**32))
    (refused,) = await history.append([draft(CHANNEL, "x")._replace(cost=cost)])
    assert isinstance(refused, CommandError)
    assert (refused.retry_after or 0) <= 0.5


# a server that takes no writes


NO_WRITES = {"maxmemory": "1", "min-replicas-to-write": "1"}


@pytest.mark.parametrize("setting", NO_WRITES)
async def test_where_no_writes_are_taken_reading_goes_on_and_appending_changes_nothing(
    store: Store, history: RedisHistory, setting: str
) -> None:
    before = await fill(history, 3)
    cost = Want("publish:ann", rate=1, burst=4)
    plain, paid = draft(CHANNEL, "x", key="x"), draft(CHANNEL, "y", key="y")._replace(cost=cost)
    store.ask("PEXPIRE", META, str(DAY))
    (was,) = store.ask("CONFIG", "GET", setting).values()
    kept = store.ask("DBSIZE")
    store.ask("CONFIG", "SET", setting, NO_WRITES[setting])
    assert list(map(type, await history.append([plain, paid]))) == [Unavailable, Unavailable]
    assert await offsets(history) == [1, 2, 3]
    assert await place(history, "tops", "") == before
    store.ask("CONFIG", "SET", setting, was)
    assert store.ask("DBSIZE") == kept
    outcomes = await history.append([plain, paid])
    assert [stored(each).position.offset for each in outcomes] == [4, 5]
    assert not any(stored(each).duplicate for each in outcomes)


async def test_without_memory_a_restart_is_still_seen(store: Store) -> None:
    async with opened(store.url) as history:
        before = await fill(history, 3)
    await asyncio.to_thread(save_and_restart, store)
    store.ask("CONFIG", "SET", "maxmemory", "1")
    async with opened(store.url) as history:
        page = await history.read(CHANNEL, after=0, limit=5)
        assert (page.epoch == before.epoch, page.top) == (False, 3)
        assert (await place(history, "rotate", page.epoch)).epoch != page.epoch


async def test_a_draft_that_fails_spares_the_others(store: Store, history: RedisHistory) -> None:
    store.ask("SET", "app:{chat:lobby}:key:3:ann:bad", "not ours")
    keys: list[str | None] = [None, "bad", "good"]
    first, bad, last = await history.append([draft(CHANNEL, "x", key=key) for key in keys])
    assert [stored(each).position.offset for each in (first, last)] == [1, 2]
    assert isinstance(bad, CommandError) and bad.code is ErrorCode.INTERNAL


# an answer that is lost


@pytest.mark.parametrize("cut", [True, False])
async def test_who_heard_no_answer_asks_again_and_is_told_what_became_of_it(
    store: Store, cut: bool
) -> None:
    """It is announced again, too: the first time, whoever said it may have died of it."""
    said = [draft(CHANNEL, str(number), key=str(number)) for number in range(300)]
    async with proxy(port_of(store)) as between, opened(store.url) as other:
        url = f"redis://127.0.0.1:{between.port}/0"
        async with opened(url, APP_REDIS_SECONDS="0.5") as history:
            await fill(history, 1)
            between.delay, between.swallow = (0.1, False) if cut else (0.0, True)
            asked = asyncio.ensure_future(history.append(said))
            while (await place(other, "tops", "")).offset != 301:
                pass
            if cut:
                between.cut()
            assert {type(each) for each in await asked} == {Unavailable}
            between.delay, between.swallow = 0.0, False
            while history.client.away:
                await asyncio.sleep(0.01)
            with Redis.from_url(store.url) as client, client.pubsub() as heard:
                heard.subscribe("app:chat:lobby")
                receipts = [stored(each) for each in await history.append(said)]
                told = [each["data"] for each in islice(heard.listen(), 1, 301)]
    assert [each.position.offset for each in receipts] == list(range(2, 302))
    assert all(each.duplicate for each in receipts)
    assert [each.body for each in receipts] == [each.body for each in said]
    assert told == [
        encode(Packet(Kind.MESSAGE, CHANNEL, each.body, each.position)) for each in receipts
    ]
