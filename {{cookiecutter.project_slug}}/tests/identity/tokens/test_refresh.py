"""A connection goes on with another token of its user, and with no other."""

import time
from datetime import datetime

import pytest

from ...doors import open_door
from ...service import Service
from ..entry import SOON
from .conftest import PROVIDER, SECRET, Enter
from .credentials import CASES
from .going_on import go_on, refresh

REFUSALS = open_door().refusals


async def test_it_stays_beyond_the_end_of_the_first(secured: Service, come: Enter) -> None:
    token, witness = PROVIDER.token("ann", 1.5), await come(PROVIDER.token("bob", 1.6))
    wire, _ = await go_on(secured, await come(token), come, PROVIDER.token("ann", 600))
    assert (await witness.closed())[0] == 4100
    assert "expiring" not in [each["type"] for each in await wire.heard()]


async def test_it_ends_with_the_second(secured: Service, come: Enter) -> None:
    first = await come(PROVIDER.token("ann", 600))
    end = time.time() + 1.5
    wire, _ = await go_on(secured, first, come, PROVIDER.token("ann", 1.5))
    await wire.hear_type("expiring")
    assert await wire.closed() == (4100, "credential expired")
    assert time.time() - end < SOON


async def test_it_says_until_when(secured: Service, come: Enter) -> None:
    wire, token = await come(PROVIDER.token("ann", 60)), PROVIDER.token("ann", 600)
    carried = await open_door().renewal(secured, token)
    answer = await wire.ask(type="refresh", token=carried or token)
    if carried is None:
        assert answer["code"] == "unsupported"
    else:
        left = datetime.fromisoformat(answer["expires_at"]).timestamp() - time.time()
        assert left == pytest.approx(600, abs=5)


async def test_the_token_of_another_user_is_forbidden(secured: Service, come: Enter) -> None:
    wire = await come(PROVIDER.token("ann"))
    for user in ("bob", "Ann", "ann ", "ann2"):
        answer = await refresh(secured, wire, PROVIDER.token(user))
        assert answer == (REFUSALS.renewal or "forbidden")
    await wire.ask(type="subscribe", channel="echo:still-ann")
    await wire.say(type="publish", channel="echo:still-ann", data="x")
    assert (await wire.hear_type("message"))["from"]["id"] == "ann"


async def test_what_lets_nobody_in_renews_nothing(secured: Service, come: Enter) -> None:
    wire = await come(PROVIDER.token("ann"))
    for case in CASES:
        if case.code is not None and case.beyond is None:
            answer = await refresh(secured, wire, case.make(PROVIDER))
            assert answer == (REFUSALS.renewal or "unauthenticated"), case.name
    assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_what_is_refused_changes_nothing(secured: Service, come: Enter) -> None:
    token = PROVIDER.token("ann", 1.5)
    end, wire = time.time() + 1.5, await come(token)
    for other in ("garbage", PROVIDER.but(key=SECRET[::-1]).token("ann"), PROVIDER.token("bob")):
        assert await refresh(secured, wire, other) != "ok"
    assert await wire.closed() == (4100, "credential expired")
    assert time.time() - end < SOON


async def test_what_is_no_token_is_no_way_around(come: Enter) -> None:
    wire = await come(PROVIDER.token("ann"))
    for token in (None, "", 1, ["x"], "x" * 8193):
        answer = await wire.ask(type="refresh", token=token)
        assert answer["code"] == "invalid_message"
    for token in ("x", "ü" * 100, "x" * 8192, "a\nb", "\0"):
        answer = await wire.ask(type="refresh", token=token)
        assert answer["code"] == (REFUSALS.renewal or "unauthenticated")
    assert (await wire.ask(type="refresh"))["code"] == "invalid_message"


async def test_who_is_put_out_does_not_come_back_by_it(secured: Service, come: Enter) -> None:
    """What was fetched before the second token was revoked is as good as that."""
    wire, other = await come(PROVIDER.token("ann")), PROVIDER.token("ann")
    carried = await open_door().renewal(secured, other)
    async with secured.rest({"Authorization": f"Bearer {other}"}) as http:
        assert (await http.delete("/auth/session")).status_code == 204
    assert (await wire.ask(type="ping"))["type"] == "pong"
    if carried is None:
        assert (await wire.ask(type="refresh", token=other))["code"] == "unsupported"
    else:
        await wire.say(type="refresh", token=carried)
        assert (await wire.closed())[0] == 4504
