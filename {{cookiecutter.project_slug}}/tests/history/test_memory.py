"""What is memory history's own."""

import pytest

from app.history.memory import KEY_SECONDS, MemoryHistory, MemoryHistorySettings, open_history

from ..nearby import Clock
from .drafts import draft, drafts, stored


def test_what_is_kept_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APP_HISTORY_LENGTH", "APP_HISTORY_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    settings = MemoryHistorySettings()
    assert (settings.history_length, settings.history_seconds) == (1_000, 3_600)


async def test_an_append_drops_what_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded however seldom somebody prunes."""
    monkeypatch.setenv("APP_HISTORY_LENGTH", "3")
    async with open_history() as history:
        await history.append(drafts("chat:x", 10))
        page = await history.read("chat:x", after=0, limit=100)
        assert [publication.offset for publication in page.publications] == [8, 9, 10]
        assert await history.prune() == 0


async def test_keys_are_forgotten_when_their_time_is_over() -> None:
    clock = Clock()
    history = MemoryHistory(length=10, seconds=60, clock=clock)
    await history.append([draft("chat:x", "x", key=str(number)) for number in range(3_000)])
    clock.advance(KEY_SECONDS)
    for _ in range(3):
        await history.prune()
    assert len(history._keys) == 0
    (receipt,) = await history.append([draft("chat:x", "other", key="1")])
    assert stored(receipt).position.offset == 3_001


async def test_epochs_come_from_the_source_given() -> None:
    names = iter(["first", "second", "third"])
    history = MemoryHistory(length=10, seconds=60, new_epoch=lambda: next(names))
    receipts = await history.append([draft("chat:x", "x"), draft("chat:y", "y")])
    assert [stored(receipt).position.epoch for receipt in receipts] == ["first", "second"]
    assert (await history.rotate("chat:x", "first")).epoch == "third"


async def test_two_histories_begin_different_epochs() -> None:
    epochs = set()
    for _ in range(100):
        async with open_history() as history:
            (receipt,) = await history.append([draft("chat:x", "x")])
            epochs.add(stored(receipt).position.epoch)
    assert len(epochs) == 100


async def test_pruning_does_not_look_at_channels_where_nothing_is_due() -> None:
    """A log waits for the time of its oldest publication, also when others took its place."""
    clock = Clock()
    history = MemoryHistory(length=2, seconds=60, clock=clock)
    for _ in range(4):
        await history.append(drafts("chat:busy", 2))
        clock.advance(20)
    await history.append([draft("chat:calm", "x")])
    assert await history.prune() == 0
    clock.advance(50)
    assert await history.prune() == 2
    clock.advance(10)
    assert await history.prune() == 1
    assert await history.prune() == 0
