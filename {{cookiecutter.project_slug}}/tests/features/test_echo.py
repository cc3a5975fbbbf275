"""Echo: anything goes in, the same comes out, and nothing stays."""

import asyncio
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..conftest import Connect
from ..service import Connected, Service

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(VALUES, min_size=1, max_size=20))
def test_any_json_comes_out_as_it_went_in(service: Service, calm: None, values: list[Any]) -> None:
    async def attempt() -> None:
        wire = await Connected.open(service, "ann")
        async with wire.connection:
            await wire.ask(type="subscribe", channel="echo:any")
            for value in values:
                await wire.say(type="publish", channel="echo:any", data=value)
            assert [(await wire.hear_type("message"))["data"] for _ in values] == values

    asyncio.run(attempt())


async def test_what_is_not_kept_has_no_position(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    channel = "echo:unkept"
    subscribed = await bob.ask(type="subscribe", channel=channel, last=5)
    assert subscribed == {
        "type": "subscribed",
        "id": "asked",
        "channel": channel,
        "messages": [],
    }
    sent = await ann.ask(type="publish", channel=channel, data=[1, 2])
    assert sent == {"type": "ok", "id": "asked", "channel": channel, "duplicate": False}
    heard = await bob.hear()
    assert (heard["data"], heard["from"]) == ([1, 2], ann.welcome["user"])
    assert "offset" not in heard and "epoch" not in heard
    page = await bob.ask(type="history", channel=channel)
    assert (page["messages"], page["has_more"]) == ([], False)


async def test_what_is_not_kept_cannot_be_recovered(connect: Connect) -> None:
    wire = await connect()
    for name, position in (("a", {"epoch": "e", "offset": 3}), ("b", {"epoch": "", "offset": 0})):
        subscribed = await wire.ask(type="subscribe", channel=f"echo:{name}", since=position)
        assert (subscribed["recovered"], subscribed["reason"]) == (False, "no_history")
        assert "offset" not in subscribed


async def test_who_is_here_is_not_kept_either(connect: Connect) -> None:
    wire = await connect()
    subscribed = await wire.ask(type="subscribe", channel="echo:alone", presence=True)
    assert "presence" not in subscribed
    here = await wire.ask(type="presence", channel="echo:alone")
    assert (here["users"], here["count"]) == ([], 0)


async def test_a_server_may_echo_too(connect: Connect, server_side: httpx2.AsyncClient) -> None:
    wire = await connect()
    await wire.ask(type="subscribe", channel="echo:server")
    response = await server_side.post("/api/channels/echo:server/messages", json={"data": None})
    assert (response.status_code, response.json()) == (
        201,
        {"type": "ok", "channel": "echo:server", "duplicate": False},
    )
    assert (await wire.hear())["data"] is None
