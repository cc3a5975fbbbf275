"""What `history/base.py` promises, held against every adapter."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from secrets import token_hex

import pytest

from app.history.base import History, Page, Room, Store
from app.protocol.channels import START, Position
from app.protocol.errors import CommandError, ErrorCode

from ..contracts import Adapter, adapters
from ..nearby import Clock
from .drafts import SENT_AT, draft, drafts, stored

KEY_SECONDS = 300
"""How long every history remembers a key at least."""


@pytest.fixture
def channel() -> str:
    """A channel that no other test has used."""
    return f"test:{token_hex(8)}"


@pytest.fixture(params=adapters("history"))
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    """One history, as two nodes see it."""
    adapter: Adapter = request.param
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack)


@pytest.fixture
def store(stores: tuple[Store, Store]) -> Store:
    """One history."""
    return stores[0]


@pytest.fixture(params=adapters("history"))
async def short(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """A history that keeps five publications of a channel."""
    adapter: Adapter = request.param
    monkeypatch.setenv("APP_HISTORY_LENGTH", "5")
    async with AsyncExitStack() as stack:
        yield await adapter.open(stack)


@pytest.fixture
def clock() -> Clock:
    """The time of a `brief` history."""
    return Clock()


@pytest.fixture(params=adapters("history", with_clock=True))
async def brief(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> AsyncIterator[Store]:
    """A history that keeps publications for a minute, up to ten thousand."""
    adapter: Adapter = request.param
    monkeypatch.setenv("APP_HISTORY_SECONDS", "60")
    monkeypatch.setenv("APP_HISTORY_LENGTH", "10000")
    async with AsyncExitStack() as stack:
        yield await adapter.open(stack, clock)


async def fill(store: History, channel: str, count: int) -> str:
    """Publish so many; gives the epoch."""
    receipts = await store.append(drafts(channel, count))
    return stored(receipts[-1]).position.epoch


async def prune(store: History) -> None:
    """Let retention finish."""
    while await store.prune():
        pass


async def top(store: History, channel: str) -> Position:
    """Where one channel stands."""
    return (await store.tops([channel]))[channel]


def offsets(page: Page) -> list[int]:
    """Which publications a page has."""
    return [publication.offset for publication in page.publications]


async def test_it_says_whether_it_carries(store: Store) -> None:
    assert store.carries in (True, False)


# append


async def test_offsets_begin_at_one_and_rise_by_one_in_each_channel(
    store: Store, channel: str
) -> None:
    other = f"{channel}-other"
    first = await store.append([draft(name, "x") for name in (channel, other, channel)])
    second = await store.append([draft(name, "y") for name in (other, channel)])
    positions = [stored(receipt).position for receipt in [*first, *second]]
    assert [position.offset for position in positions] == [1, 1, 2, 2, 3]
    assert positions[0].epoch == positions[2].epoch == positions[4].epoch
    assert positions[1].epoch == positions[3].epoch


async def test_an_epoch_is_one_that_a_client_may_send_back(store: Store, channel: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", await fill(store, channel, 1))


async def test_an_append_of_nothing_is_nothing(store: Store) -> None:
    assert list(await store.append([])) == []


@pytest.mark.parametrize(
    "text", ["", "plain", "ünïcödé ☃ 🎉", r"\"quoted\" \\ \u0001", "x" * 60_000]
)
async def test_what_was_stored_is_read_byte_for_byte(store: Store, channel: str, text: str) -> None:
    said = draft(channel, text)
    (receipt,) = await store.append([said])
    page = await store.read(channel, limit=1)
    assert stored(receipt).body == said.body
    assert [publication.body for publication in page.publications] == [said.body]


async def test_every_node_has_it_once_append_returned(
    stores: tuple[Store, Store], channel: str
) -> None:
    one, two = stores
    for number in range(1, 11):
        (receipt,) = await one.append([draft(channel, str(number))])
        assert await top(two, channel) == stored(receipt).position
        assert offsets(await two.read(channel, after=number - 1, limit=10)) == [number]


async def test_concurrent_appends_leave_no_hole_and_keep_each_ones_order(
    stores: tuple[Store, Store], channel: str
) -> None:
    """Forty callers on two nodes, in two channels that each names in another order."""
    other = f"{channel}-other"

    async def append(caller: int) -> list[tuple[str, int, bytes]]:
        both = (channel, other) if caller % 2 else (other, channel)
        said = [draft(name, f"{caller}-{i}") for i in range(6) for name in both]
        receipts = await stores[caller % 2].append(said)
        return [
            (d.channel, stored(r).position.offset, d.body)
            for d, r in zip(said, receipts, strict=True)
        ]

    everyones = await asyncio.gather(*map(append, range(40)))
    for name in (channel, other):
        mine = [
            [(offset, body) for where, offset, body in one if where == name] for one in everyones
        ]
        assert all(one == sorted(one) for one in mine)
        page = await stores[0].read(name, after=0, limit=1000)
        assert [(p.offset, p.body) for p in page.publications] == sorted(chain(*mine))
        assert offsets(page) == list(range(1, 241))


# keys


async def test_a_known_key_takes_no_offset_and_gives_what_is_stored(
    stores: tuple[Store, Store], channel: str
) -> None:
    one, two = stores
    first, retry = draft(channel, "x", key="k"), draft(channel, "x", key="k")
    (receipt,) = await one.append([first])
    await one.append([draft(channel, "between")])
    (again,) = await two.append([retry])
    assert not stored(receipt).duplicate
    assert again == stored(receipt)._replace(duplicate=True)
    assert stored(again).body == first.body != retry.body
    assert (await top(one, channel)).offset == 2


async def test_a_key_belongs_to_its_sender_and_channel(store: Store, channel: str) -> None:
    receipts = await store.append(
        [
            draft(channel, "x", key="k"),
            draft(channel, "y", key="k", sender="bob"),
            draft(f"{channel}-other", "z", key="k"),
            draft(channel, "x", key="K"),
            draft(channel, "x"),
            draft(channel, "x"),
        ]
    )
    assert [stored(r).position.offset for r in receipts] == [1, 2, 1, 3, 4, 5]
    assert not any(stored(r).duplicate for r in receipts)


async def test_other_data_under_a_known_key_is_a_conflict(store: Store, channel: str) -> None:
    await store.append([draft(channel, "x", key="k")])
    (outcome,) = await store.append([draft(channel, "y", key="k")])
    assert isinstance(outcome, CommandError)
    assert outcome.code is ErrorCode.CONFLICT
    assert (await top(store, channel)).offset == 1


async def test_a_batch_may_hold_everything_at_once(store: Store, channel: str) -> None:
    """Duplicates and conflicts of what is stored, and of what stands earlier in the same batch."""
    await store.append([draft(channel, "old", key="old")])
    outcomes = await store.append(
        [
            draft(channel, "a"),
            draft(channel, "old", key="old"),
            draft(channel, "other", key="old"),
            draft(channel, "new", key="new"),
            draft(channel, "new", key="new"),
            draft(channel, "other", key="new"),
            draft(channel, "b"),
        ]
    )
    assert [
        outcome.code
        if isinstance(outcome, CommandError)
        else (outcome.position.offset, outcome.duplicate)
        for outcome in outcomes
    ] == [
        (2, False),
        (1, True),
        ErrorCode.CONFLICT,
        (3, False),
        (3, True),
        ErrorCode.CONFLICT,
        (4, False),
    ]
    page = await store.read(channel, after=0, limit=10)
    assert offsets(page) == [1, 2, 3, 4]
    assert stored(outcomes[4]).body == stored(outcomes[3]).body == page.publications[2].body


async def test_a_key_that_many_retry_at_once_is_stored_once(
    stores: tuple[Store, Store], channel: str
) -> None:
    receipts = [
        stored(receipt)
        for batch in await asyncio.gather(
            *(stores[i % 2].append([draft(channel, "x", key="k")]) for i in range(50))
        )
        for receipt in batch
    ]
    assert [receipt.duplicate for receipt in receipts].count(False) == 1
    assert len({(receipt.position, receipt.body) for receipt in receipts}) == 1
    assert (await top(stores[0], channel)).offset == 1


async def test_a_key_outlives_its_publication(short: Store, channel: str) -> None:
    """Retention by number may take the publication at once; the retry still gets its body."""
    first = draft(channel, "x", key="k")
    (receipt,) = await short.append([first])
    await short.append(drafts(channel, 20))
    await prune(short)
    (again,) = await short.append([draft(channel, "x", key="k")])
    (conflict,) = await short.append([draft(channel, "y", key="k")])
    assert 1 not in offsets(await short.read(channel, after=0, limit=100))
    assert again == stored(receipt)._replace(duplicate=True)
    assert isinstance(conflict, CommandError)


async def test_a_key_is_remembered_for_five_minutes(
    brief: Store, channel: str, clock: Clock
) -> None:
    (receipt,) = await brief.append([draft(channel, "x", key="k")])
    clock.advance(KEY_SECONDS - 1)
    await prune(brief)
    await brief.append(drafts(f"{channel}-other", 20))
    (again,) = await brief.append([draft(channel, "x", key="k")])
    assert again == stored(receipt)._replace(duplicate=True)


# read


async def test_a_channel_never_written_to_is_at_the_start_and_reading_leaves_it_there(
    store: Store, channel: str
) -> None:
    for form in ({"after": 0}, {"after": 7}, {"before": 3}, {}):
        page = await store.read(channel, **form, limit=10)
        assert (page.epoch, page.top, list(page.publications)) == (START.epoch, START.offset, [])
    assert await top(store, channel) == START


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_a_page_is_what_stands_next_to_where_it_was_asked_for(
    short: Store, channel: str, limit: int
) -> None:
    """All three forms at every place, in a channel of nine that keeps the last five."""
    epoch = await fill(short, channel, 9)
    await prune(short)
    kept = [5, 6, 7, 8, 9]
    expected = {
        **{("after", at): [o for o in kept if o > at][:limit] for at in range(13)},
        **{("before", at): [o for o in kept if o < at][-limit:] for at in range(13)},
        ("newest", 0): kept[-limit:],
    }
    for (form, at), wanted in expected.items():
        page = await short.read(channel, **({} if form == "newest" else {form: at}), limit=limit)
        assert (form, at, offsets(page)) == (form, at, wanted)
        assert (page.epoch, page.top) == (epoch, 9)


async def test_a_page_is_one_snapshot(stores: tuple[Store, Store], channel: str) -> None:
    """Read while others append: contiguous, next to `after`, and none above the page's top."""
    await fill(stores[0], channel, 1)
    writing = asyncio.gather(*(stores[0].append(drafts(channel, 5)) for _ in range(40)))
    read = 0
    while read < 201:
        page = await stores[1].read(channel, after=read, limit=7)
        assert offsets(page) == list(range(read + 1, read + 1 + len(page.publications)))
        assert len(page.publications) == min(7, page.top - read)
        read += len(page.publications)
        await asyncio.sleep(0)
    await writing


# tops


async def test_tops_knows_many_channels_and_those_never_written_to(
    store: Store, channel: str
) -> None:
    written = [f"{channel}-{number}" for number in range(700)]
    unknown = [f"{channel}-unknown-{number}" for number in range(700)]
    receipts = await store.append([draft(name, "x") for name in written])
    tops = await store.tops([*written, *unknown])
    assert tops == {
        **dict(zip(written, (stored(receipt).position for receipt in receipts), strict=True)),
        **dict.fromkeys(unknown, START),
    }
    assert await store.tops([]) == {}


async def test_tops_is_never_behind_an_append_that_returned(
    stores: tuple[Store, Store], channel: str
) -> None:
    returned = 0

    async def append() -> None:
        nonlocal returned
        for _ in range(5):
            (receipt,) = await stores[0].append([draft(channel, "x")])
            returned = max(returned, stored(receipt).position.offset)
            await asyncio.sleep(0)

    writing = [asyncio.create_task(append()) for _ in range(10)]
    while not all(task.done() for task in writing):
        before = returned
        assert (await top(stores[1], channel)).offset >= before
        await asyncio.sleep(0)
    assert (await top(stores[1], channel)).offset == 50


# rotate


async def test_a_rotation_begins_an_epoch_in_which_offsets_go_on(
    stores: tuple[Store, Store], channel: str
) -> None:
    one, two = stores
    old = await fill(one, channel, 3)
    position = await one.rotate(channel, old)
    assert position.epoch not in (old, "")
    assert await top(two, channel) == position
    assert (await two.read(channel, after=0, limit=10)).epoch == position.epoch
    (receipt,) = await two.append([draft(channel, "x")])
    assert stored(receipt).position == replace(position, offset=position.offset + 1)


async def test_a_rotation_of_an_epoch_that_has_passed_changes_nothing(
    store: Store, channel: str
) -> None:
    old = await fill(store, channel, 3)
    position = await store.rotate(channel, old)
    assert await store.rotate(channel, old) == position
    assert await top(store, channel) == position


async def test_a_rotation_that_many_ask_for_happens_once(
    stores: tuple[Store, Store], channel: str
) -> None:
    old = await fill(stores[0], channel, 3)
    await fill(stores[0], f"{channel}-other", 1)
    untouched = await top(stores[0], f"{channel}-other")
    positions = await asyncio.gather(*(stores[i % 2].rotate(channel, old) for i in range(50)))
    assert set(positions) == {await top(stores[0], channel)}
    assert await top(stores[0], f"{channel}-other") == untouched


async def test_a_channel_never_written_to_has_no_epoch_to_rotate(
    store: Store, channel: str
) -> None:
    assert await store.rotate(channel, "gone") == START
    assert await store.rotate(channel, START.epoch) == START
    assert await top(store, channel) == START


async def test_a_key_outlives_its_epoch(store: Store, channel: str) -> None:
    (receipt,) = await store.append([draft(channel, "x", key="k")])
    position = await store.rotate(channel, stored(receipt).position.epoch)
    (again,) = await store.append([draft(channel, "x", key="k")])
    assert again == stored(receipt)._replace(position=position, duplicate=True)


# prune


async def test_pruning_keeps_the_newest_and_never_moves_the_top(short: Store, channel: str) -> None:
    epoch = await fill(short, channel, 12)
    await prune(short)
    assert offsets(await short.read(channel, after=0, limit=100)) == [8, 9, 10, 11, 12]
    assert await top(short, channel) == Position(epoch, 12)


async def test_pruning_takes_what_is_too_old_and_only_that(
    brief: Store, channel: str, clock: Clock
) -> None:
    await fill(brief, channel, 3)
    clock.advance(40)
    await fill(brief, channel, 2)
    await prune(brief)
    assert offsets(await brief.read(channel, after=0, limit=10)) == [1, 2, 3, 4, 5]
    clock.advance(30)
    await prune(brief)
    assert offsets(await brief.read(channel, after=0, limit=10)) == [4, 5]


async def test_a_channel_that_was_pruned_empty_goes_on_counting(
    brief: Store, channel: str, clock: Clock
) -> None:
    epoch = await fill(brief, channel, 3)
    clock.advance(61)
    await prune(brief)
    page = await brief.read(channel, after=0, limit=10)
    assert (page.epoch, page.top, offsets(page)) == (epoch, 3, [])
    await fill(brief, channel, 1)
    assert offsets(await brief.read(channel, after=0, limit=10)) == [4]


async def test_one_call_prunes_a_bounded_number_and_zero_says_done(
    brief: Store, channel: str, clock: Clock
) -> None:
    for number in range(10):
        await fill(brief, f"{channel}-{number}", 500)
    clock.advance(61)
    pruned = [await brief.prune()]
    assert 0 < pruned[0] < 5000
    while pruned[-1]:
        pruned.append(await brief.prune())
    assert sum(pruned) == 5000
    for number in range(10):
        assert offsets(await brief.read(f"{channel}-{number}", limit=1)) == []


# rooms


async def test_a_room_is_created_once(stores: tuple[Store, Store], channel: str) -> None:
    asked = [Room(channel, f"title {i}", SENT_AT, f"user {i}") for i in range(20)]
    created = await asyncio.gather(*(stores[i % 2].create(room) for i, room in enumerate(asked)))
    assert created.count(True) == 1
    assert await stores[1].describe(channel) == asked[created.index(True)]
    assert await top(stores[0], channel) == START


async def test_rooms_are_listed_oldest_first(stores: tuple[Store, Store], channel: str) -> None:
    asked = [
        Room(f"{channel}-{age}", "", SENT_AT - timedelta(seconds=age), "ann") for age in (2, 3, 1)
    ]
    for room in asked:
        assert await stores[0].create(room)
    mine = [room for room in await stores[1].rooms() if room.channel.startswith(channel)]
    assert mine == [asked[1], asked[0], asked[2]]


async def test_what_was_never_created_is_no_room(store: Store, channel: str) -> None:
    await fill(store, channel, 1)
    assert await store.describe(channel) is None
    assert channel not in [room.channel for room in await store.rooms()]
