"""What is memory presence's own."""

import pytest

from app.presence.base import Entry
from app.presence.memory import UNWATCHED_SECONDS, MemoryPresence, MemoryPresenceSettings
from app.protocol.events import Member

from ..nearby import Clock


async def test_who_left_a_channel_that_nobody_watches_is_forgotten() -> None:
    clock = Clock()
    presence = MemoryPresence(grace=5, clock=clock)
    for number in range(1_000):
        entries = [Entry(f"chat:{number}", str(number), Member(id=f"guest{number}"))]
        await presence.enter(entries)
        await presence.leave(entries)
        clock.advance(1)
        assert list(await presence.sweep(["chat:watched"])) == []
    assert len(presence._channels) <= UNWATCHED_SECONDS + 5 + 1
    clock.advance(UNWATCHED_SECONDS + 5)
    await presence.sweep([])
    assert (presence._channels, presence._leaving) == ({}, {})


@pytest.mark.parametrize(("value", "grace"), [(None, 5), ("0", 0), ("2.5", 2.5)])
def test_the_grace_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, value: str | None, grace: float
) -> None:
    monkeypatch.delenv("APP_PRESENCE_GRACE_SECONDS", raising=False)
    if value is not None:
        monkeypatch.setenv("APP_PRESENCE_GRACE_SECONDS", value)
    assert MemoryPresenceSettings().presence_grace_seconds == grace
