"""A connection ends with the token that opened it, and no later."""

import asyncio
import time
from datetime import datetime

import pytest

from ...doors import open_door
from ...service import Service
from ..entry import SOON, reception
from .conftest import PROVIDER, Enter
from .test_credentials import over_rest

A_MOMENT = 0.05
"""Seconds by which two clocks of one machine differ in what they measure."""


@pytest.mark.parametrize("seconds", [1, 2])
async def test_it_is_told_before_and_then_cut(come: Enter, seconds: float) -> None:
    token = PROVIDER.token(seconds=seconds)
    end = time.time() + seconds
    wire = await come(token)
    said = datetime.fromisoformat(wire.welcome["expires_at"]).timestamp()
    assert said == pytest.approx(end, abs=0.5)

    notice = await wire.hear_type("expiring")
    assert 0 < notice["in_ms"] <= seconds * 1000 / 5
    assert time.time() + notice["in_ms"] / 1000 == pytest.approx(said, abs=SOON / 2)

    assert await wire.closed() == (4100, "credential expired")
    assert -A_MOMENT < time.time() - said < SOON


async def test_however_busy_it_is(secured: Service, come: Enter) -> None:
    """Talking is no reason to stay, and listening neither."""
    talker, listener = (
        await come(PROVIDER.token("ann", 1.5)),
        await come(PROVIDER.token("bob", 1.5)),
    )
    for wire in (talker, listener):
        await wire.ask(type="subscribe", channel="echo:busy")
    begun = time.time()

    async def talk() -> None:
        while True:
            await talker.say(type="publish", channel="echo:busy", data="x")
            await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    ends = await asyncio.gather(talker.closed(), listener.closed())
    assert {code for code, _ in ends} == {4100}
    assert time.time() - begun < 1.5 + SOON
    talking.cancel()


async def test_others_stay(come: Enter) -> None:
    brief, long = await come(PROVIDER.token("ann", 1)), await come(PROVIDER.token("ann", 600))
    assert (await brief.closed())[0] == 4100
    assert "expiring" not in [each["type"] for each in await long.heard()]


async def test_what_has_expired_opens_nothing_again(secured: Service, come: Enter) -> None:
    token = PROVIDER.token(seconds=1)
    assert await over_rest(secured, token) == 200
    assert (await (await come(token)).closed())[0] == 4100
    assert await reception(secured, token) == open_door().refusals.of(4100)
    assert await over_rest(secured, token) == 401
