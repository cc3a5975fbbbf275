"""What Prometheus scrapes from a real server, and what it says about what happened there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Connect
from ..service import PATIENCE, Service, Wire, knock, running

OURS = ("websocket_", "realtime_")
MESSAGES = 200
LARGE = "x" * 60_000
"""With so many of them, more than the kernel keeps for a peer."""


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample."""
        (value,) = [s.value for s in self.samples if (s.name, s.labels) == (name, labels)]
        return value

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """A server of the test's own, which lets much wait for a peer."""
    with running(tmp_path, APP_OUTBOX_BYTES="100000000") as service:
        yield service
        assert "Traceback" not in service.log


@pytest.fixture
async def prometheus(own: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """Whoever scrapes it."""
    async with own.rest() as http:
        yield http


async def scrape(prometheus: httpx2.AsyncClient) -> Scrape:
    """How it is now."""
    return Scrape((await prometheus.get("/metrics")).text)


async def scrape_until(prometheus: httpx2.AsyncClient, wanted: Callable[[Scrape], bool]) -> Scrape:
    """How it is once it is as wanted."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(found := await scrape(prometheus)):
            await asyncio.sleep(0.01)
        return found


async def test_it_is_the_text_that_prometheus_reads_and_no_part_of_the_api(
    service: Service, production: Service
) -> None:
    for each in (service, production):
        async with each.rest() as http:
            response = await http.get("/metrics")
            found = await scrape_until(
                http, lambda now: now("realtime_event_loop_lag_seconds_count") > 0
            )
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        assert found("process_resident_memory_bytes") > 0
        assert found("realtime_failing_tasks") == 0
    async with service.rest() as http:
        assert "/metrics" not in (await http.get("/openapi.json")).json()["paths"]


async def test_connections_are_counted_while_they_last_and_then_how_long(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    before = await scrape(prometheus)
    assert before("websocket_connections_total") == before("websocket_active_connections") == 0
    wires = [await connect(f"user-{number}", to=own) for number in range(3)]
    open_now = await scrape(prometheus)
    assert open_now("websocket_connections_total") == 3
    assert open_now("websocket_active_connections") == 3
    assert open_now("websocket_connection_duration_seconds_count") == 0
    for wire in wires:
        await wire.connection.close()
    after = await scrape_until(prometheus, lambda now: now("websocket_active_connections") == 0)
    assert after("websocket_connections_total") == 3
    assert after("websocket_connection_duration_seconds_count") == 3
    assert 0 < after("websocket_connection_duration_seconds_sum") < 3 * PATIENCE
    bounds = after.labels("websocket_connection_duration_seconds_bucket", "le")
    assert {"1.0", "86400.0"} <= bounds


async def test_a_connection_that_the_service_ends_is_counted_by_its_code_and_no_other(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    """What a peer closes with is its own choice, and makes no series here."""
    for _ in range(2):
        async with await knock(own, await own.shown(None), subprotocols=["v9.xml"]) as connection:
            assert (await Wire(connection).closed())[0] == 4503
    refused = await connect("ann", "/nowhere/x", to=own)
    assert (await refused.closed())[0] == 4508
    for code in range(4100, 4110):
        wire = await connect(to=own)
        await wire.connection.close(code)
    after = await scrape_until(prometheus, lambda now: now("websocket_active_connections") == 0)
    assert after("websocket_connections_total") == 13
    assert after.labels("websocket_closes_total", "code") == {"4503", "4508"}
    assert after("websocket_closes_total", code="4503") == 2
    assert after("websocket_closes_total", code="4508") == 1


async def test_messages_are_counted_once_as_they_come_and_once_for_each_recipient(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    ann = await connect("ann", to=own)
    others = [await connect(f"user-{number}", to=own) for number in range(3)]
    for wire in others:
        await wire.ask(type="subscribe", channel="chat:lobby")
    await others[0].ask(type="subscribe", channel="echo:x")
    before = await scrape(prometheus)
    for _ in range(2):
        await ann.ask(type="publish", channel="chat:lobby", data={"text": "kept"})
    heard = await others[0].ask_all(type="signal", channel="chat:lobby", kind="typing")
    await ann.ask(type="nonsense")
    await ann.ask(type="publish", channel="echo:x", data="not kept")
    # The first that is kept may come last: it tells the epoch, which is looked up.
    told = [each["channel"] for each in heard if each["type"] == "message"]
    while len(told) < 3:
        told.append((await others[0].hear_type("message"))["channel"])
    assert sorted(told) == ["chat:lobby", "chat:lobby", "echo:x"]
    after = await scrape(prometheus)

    def rose(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert rose("websocket_messages_total", direction="received") == 2 + 1 + 1 + 1
    assert rose("websocket_messages_total", direction="sent") == 2 * 3 + 3 + 1
    assert rose("realtime_delivery_lag_seconds_count") == 2, "those that are kept"
    assert 0 < rose("realtime_delivery_lag_seconds_sum") < PATIENCE
    assert after.labels("websocket_messages_total", "direction") == {"received", "sent"}


async def test_presence_is_counted_for_those_who_asked_for_it(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    ann, bob, cat = [await connect(user, to=own) for user in ("ann", "bob", "cat")]
    await ann.ask(type="subscribe", channel="chat:lobby")
    await bob.ask(type="subscribe", channel="chat:lobby", presence=True)
    while (await bob.hear_type("join"))["user"]["id"] != bob.user:
        continue  # that ann came may be told late
    before = await scrape(prometheus)
    await cat.ask(type="subscribe", channel="chat:lobby")
    assert (await bob.hear_type("join"))["user"]["id"] == cat.user
    after = await scrape(prometheus)
    sent = [each("websocket_messages_total", direction="sent") for each in (before, after)]
    assert sent[1] - sent[0] == 1


async def test_recoveries_are_counted_by_what_became_of_them(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    ann, bob = await connect("ann", to=own), await connect("bob", to=own)
    sent = await ann.ask(type="publish", channel="chat:lobby", data={"text": "x"})
    here, elsewhere = {"epoch": sent["epoch"], "offset": 0}, {"epoch": "another", "offset": 0}
    for channel, since, times in (
        ("chat:lobby", None, 1),
        ("chat:lobby", here, 3),
        ("chat:lobby", elsewhere, 2),
        ("chat:lobby", here | {"offset": 5}, 1),
        ("echo:x", here, 1),
    ):
        for _ in range(times):
            asked = {} if since is None else {"since": since}
            await bob.ask(type="subscribe", channel=channel, **asked)
            await bob.ask(type="unsubscribe", channel=channel)
    after = await scrape(prometheus)
    outcomes = after.labels("realtime_recoveries_total", "outcome")
    assert {each: after("realtime_recoveries_total", outcome=each) for each in outcomes} == {
        "recovered": 3,
        "epoch_changed": 2,
        "ahead": 1,
        "no_history": 1,
        "expired": 0,
        "too_far": 0,
    }


async def test_what_waits_for_a_peer_is_seen_until_it_has_read_it(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    ann, bob = await connect("ann", to=own), await connect("bob", to=own)
    await bob.ask(type="subscribe", channel="echo:x")
    assert (await scrape(prometheus))("realtime_queue_bytes") == 0
    bob.connection.transport.pause_reading()
    for _ in range(MESSAGES):
        await ann.ask(type="publish", channel="echo:x", data=LARGE)
    queued = await scrape_until(prometheus, lambda now: now("realtime_queue_bytes") > 0)
    assert queued("realtime_queue_bytes") < MESSAGES * (len(LARGE) + 1000)
    bob.connection.transport.resume_reading()
    for _ in range(MESSAGES):
        assert (await bob.hear_type("message"))["data"] == LARGE
    await scrape_until(prometheus, lambda now: now("realtime_queue_bytes") == 0)


async def test_no_label_grows_with_channels_or_people(
    own: Service, connect: Connect, prometheus: httpx2.AsyncClient
) -> None:
    async def series() -> set[str]:
        found = [each for each in (await scrape(prometheus)).samples if each.name.startswith(OURS)]
        assert {label for each in found for label in each.labels} <= {
            *("code", "direction", "le", "outcome")
        }
        return {f"{each.name}{each.labels}" for each in found}

    before = await series()
    for number in range(10):
        wire = await connect(f"user-{number}", to=own)
        await wire.ask(type="subscribe", channel=f"echo:{number}")
        await wire.ask(type="publish", channel=f"echo:{number}", data="hello")
    assert await series() == before
