"""What becomes of packets, and what is said of it, whatever Redis and the network do."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from app.broker.base import Gap, Health, Kind, Packet
from app.broker.redis import RedisBroker, open_broker
from app.protocol.channels import Position
from app.protocol.errors import Unavailable
from app.redis import connecting

from ..cluster.proxy import Proxy, proxy
from ..cluster.store import Keeps, Store, own_store

PATIENCE = 10.0
SECONDS = 0.5
"""How long the brokers here wait."""
DEAF_SECONDS = 0.6
"""And for how long they may not have heard themselves."""
BACK = 3.0
"""Within which packets arrive again once Redis is there again."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.broker.redis.BEAT_SECONDS", 0.1)
    monkeypatch.setattr("app.broker.hearing.BEAT_SECONDS", 0.1)
    monkeypatch.setattr("app.broker.hearing.DEAF_SECONDS", DEAF_SECONDS)
    connecting._GONE.clear()
    connecting._SAID.clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A server that a test may harm."""
    with own_store(tmp_path, Keeps.NOTHING) as store:
        yield store


class Node:
    """A broker, and all that it delivered."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker
        self.arrived: list[Packet | Gap] = []
        self.listening = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        """Collect until cancelled."""
        async for delivery in self.broker.deliveries():
            self.arrived += [delivery] if isinstance(delivery, Gap) else delivery

    @property
    def packets(self) -> list[Packet]:
        """What arrived, without the gaps."""
        return [each for each in self.arrived if isinstance(each, Packet)]

    @property
    def gaps(self) -> int:
        """How often something may have been missed."""
        return self.arrived.count(Gap())


@asynccontextmanager
async def node(url: str, prefix: str = "test", *, seconds: float = SECONDS) -> AsyncIterator[Node]:
    """One that listens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APP_REDIS_URL", url)
        patch.setenv("APP_REDIS_PREFIX", prefix)
        patch.setenv("APP_REDIS_SECONDS", str(seconds))
        opened = open_broker()
        broker = await opened.__aenter__()
    node = Node(broker)
    try:
        yield node
    finally:
        node.listening.cancel()
        await asyncio.gather(node.listening, return_exceptions=True)
        await opened.__aexit__(None, None, None)


@pytest.fixture
async def between(store: Store) -> AsyncIterator[Proxy]:
    """The network that leads to the server, for who hears by it."""
    async with proxy(urlsplit(store.url).port or 0) as between:
        yield between


def by(between: Proxy) -> str:
    return f"redis://127.0.0.1:{between.port}/0"


async def until(true: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.005)


async def health_until_up(one: Node) -> set[Health]:
    """Wait until all is well; how it was before."""
    seen: set[Health] = set()

    def is_up() -> bool:
        seen.add(one.broker.health)
        return Health.UP in seen

    await until(is_up)
    return seen - {Health.UP}


def say(channel: str, text: object, offset: int | None = None) -> Packet:
    position = None if offset is None else Position("e1", offset)
    return Packet(Kind.MESSAGE, channel, str(text).encode(), position)


async def is_carried(one: Node, to: Node, channel: str, within: float = PATIENCE) -> None:
    """Publish until something arrives."""
    sent: list[Packet] = []

    async def arrives() -> None:
        while not set(sent) & set(to.packets):
            sent.append(say(channel, random.random()))
            try:
                await one.broker.publish(sent[-1:])
            except Unavailable:
                sent.pop()
            await asyncio.sleep(0.02)

    await asyncio.wait_for(arrives(), within)


# what is on the wire


async def test_what_cannot_be_understood_is_passed_over_and_told_once(store: Store) -> None:
    async with node(store.url) as one:
        await one.broker.follow(["echo:x"])
        with capture_logs() as logs:
            for said in ("", "message", "newer\n{}", "message e\n{}", "message e x\n{}", "\x00"):
                store.ask("PUBLISH", "test:echo:x", said)
            await is_carried(one, one, "echo:x")
    assert [each["event"] for each in logs] == ["what arrived cannot be understood"]
    assert {packet.body for packet in one.packets[:-1]} <= {b""}


async def test_names_that_look_like_patterns_and_those_of_others_reach_nothing_else(
    store: Store,
) -> None:
    names = ["echo:*", "echo:?", "echo:[a-z]", "*", "echo:x", "test:echo:x", "echo:a\\*"]
    async with node(store.url) as one, node(store.url, "test.echo") as other:
        for name in names:
            await one.broker.follow([name])
        await other.broker.follow(["x", "*"])
        sent = [say(name, name) for name in names]
        await one.broker.publish(sent)
        await is_carried(one, one, "echo:x")
        await is_carried(other, other, "x")
        assert one.packets[: len(sent)] == sent
        await until(lambda: other.packets)
        assert {packet.channel for packet in other.packets} == {"x"}


# what ends


async def test_a_server_that_is_killed_and_comes_back_is_heard_again(store: Store) -> None:
    async with node(store.url) as one, node(store.url) as two:
        await two.broker.follow(["echo:x", "echo:y"])
        await is_carried(one, two, "echo:x")
        with capture_logs() as logs:
            await asyncio.to_thread(store.kill)
            await until(lambda: two.broker.health is Health.DOWN)
            for refused in (two.broker.follow(["echo:z"]), one.broker.publish([say("echo:x", "")])):
                began = monotonic()
                with pytest.raises(Unavailable):
                    await refused
                assert monotonic() - began < 0.2
            gaps, before = two.gaps, len(two.packets)
            await asyncio.sleep(DEAF_SECONDS)
            await asyncio.to_thread(store.start)
            began = monotonic()
            for seen in await asyncio.gather(health_until_up(one), health_until_up(two)):
                assert Health.DEAF not in seen
            await is_carried(one, two, "echo:y", BACK)
            assert monotonic() - began < BACK
            assert two.gaps == gaps + 1
            assert len(two.packets) > before
    assert sorted((each["event"], each["to"]) for each in logs) == [
        ("connected again", "redis"),
        ("connected again", "the broker"),
        ("no connection", "redis"),
        ("no connection", "the broker"),
    ]


async def test_a_server_that_is_frozen_is_down_and_then_up_again(store: Store) -> None:
    async with node(store.url) as one:
        await one.broker.follow(["echo:x"])
        store.freeze()
        try:
            began = monotonic()
            with pytest.raises(Unavailable):
                await one.broker.publish([say("echo:x", "")])
            await until(lambda: one.broker.health is Health.DOWN)
            assert monotonic() - began < 3 * SECONDS
            await asyncio.sleep(DEAF_SECONDS + 0.2)
            assert one.broker.health is Health.DOWN
        finally:
            store.thaw()
        assert await health_until_up(one) == {Health.DOWN}
        await is_carried(one, one, "echo:x", BACK)


async def test_a_network_that_fell_silent_for_both_connections_is_noticed(
    store: Store, between: Proxy
) -> None:
    """No end was told, and what was said then is lost."""
    async with node(by(between)) as one, node(store.url) as two:
        await one.broker.follow(["echo:x"])
        await is_carried(two, one, "echo:x")
        between.half_open = between.swallow = True
        await until(lambda: one.broker.health is Health.DOWN)
        gaps = one.gaps
        between.half_open = between.swallow = False
        await is_carried(two, one, "echo:x", BACK)
        assert one.gaps <= gaps + 1


async def test_a_node_that_begins_before_redis_is_down_until_it_is_there(store: Store) -> None:
    await asyncio.to_thread(store.kill)
    async with node(store.url) as one:
        await until(lambda: one.broker.health is Health.DOWN)
        with pytest.raises(Unavailable):
            await one.broker.follow(["echo:x"])
        await asyncio.to_thread(store.start)
        await until(lambda: one.broker.health is Health.UP)
        await one.broker.follow(["echo:x"])
        await is_carried(one, one, "echo:x")


async def test_whatever_is_missing_when_connections_are_cut_a_gap_comes_after_it(
    store: Store,
) -> None:
    """Every 200 ms, while another node publishes 20,000 messages."""
    started = 0
    gaps: list[tuple[int, int]] = []
    offsets: list[int] = []
    async with node(store.url) as one, node(store.url) as two:
        await two.broker.follow(["chat:x"])
        await is_carried(one, two, "chat:x")

        async def note() -> None:
            seen = 0
            while True:
                for each in two.arrived[seen:]:
                    if isinstance(each, Gap):
                        gaps.append((len(offsets), started))
                    elif each.position is not None:
                        offsets.append(each.position.offset)
                seen = len(two.arrived)
                await asyncio.sleep(0)

        noting = asyncio.create_task(note())
        next_cut = monotonic() + 0.1
        while started < 20_000:
            batch = [say("chat:x", "x" * 100, started + each) for each in range(1, 101)]
            started += 100
            await one.broker.publish(batch)
            if monotonic() > next_cut:
                store.cut()
                next_cut += 0.2
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await is_carried(one, two, "chat:x")
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
    missing = sorted(set(range(1, 20_001)) - set(offsets))
    assert offsets == sorted(set(offsets))
    assert len(gaps) > 5
    assert len(missing) < 10_000
    for each in missing:
        before = sum(offset < each for offset in offsets)
        # What came with the confirmation may be handed over before the gap.
        assert any(before <= at < before + 1000 and top >= each for at, top in gaps), each


async def test_who_does_not_read_is_cut_off_by_redis_and_goes_on_with_a_gap(store: Store) -> None:
    store.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    async with node(store.url) as one:
        await one.broker.follow(["echo:x"])
        await is_carried(one, one, "echo:x")
        gaps = one.gaps
        # While this waits for Redis, the node does nothing else.
        flood = "for _ = 1, 10000 do redis.call('PUBLISH', KEYS[1], ARGV[1]) end"
        store.ask("EVAL", flood, "1", "test:echo:x", "message\n" + "x" * 4000)
        assert store.ask("CLIENT", "LIST", "TYPE", "pubsub") == b""
        await until(lambda: one.gaps > gaps)
        await is_carried(one, one, "echo:x")


# who hears nothing


async def test_who_may_not_listen_is_deaf_until_it_may(store: Store) -> None:
    rights = ("on", "nopass", "~*", "+@all")
    store.ask("ACL", "SETUSER", "app", *rights, "resetchannels", "&other:*")
    with capture_logs() as logs:
        url = f"redis://app:x@127.0.0.1:{urlsplit(store.url).port}/0"
        async with node(url) as one:
            await until(lambda: one.broker.health is Health.DEAF)
            with pytest.raises(Unavailable):
                await one.broker.follow(["echo:x"])
            await asyncio.sleep(0.5)
            assert one.broker.health is Health.DEAF
            store.ask("ACL", "SETUSER", "app", "&test:*")
            await until(lambda: one.broker.health is Health.UP)
            await is_carried(one, one, "echo:x")
    told = [each for each in logs if each["log_level"] != "info"]
    assert sorted(each["event"] for each in told) == ["no connection", "redis refuses commands"]


async def test_who_is_not_delivered_to_is_deaf_and_connects_again(
    store: Store, between: Proxy
) -> None:
    async with node(by(between)) as one:
        await one.broker.follow(["echo:x"])
        await is_carried(one, one, "echo:x")
        between.only, between.swallow = b"SUBSCRIBE", True
        before = between.accepted
        await until(lambda: one.broker.health is Health.DEAF)
        await until(lambda: between.accepted > before)
        began, gaps = monotonic(), one.gaps
        with pytest.raises(Unavailable):
            await one.broker.follow(["echo:y"])
        assert monotonic() - began < SECONDS + 0.5
        assert one.gaps == gaps
        between.swallow = False
        await until(lambda: one.broker.health is Health.UP)
        await is_carried(one, one, "echo:y")
        assert one.gaps == gaps + 1


# what is followed


async def test_many_channels_are_followed_at_once_and_again_before_the_gap(store: Store) -> None:
    names = [f"echo:{number}" for number in range(10_000)]
    async with node(store.url, seconds=5) as one, node(store.url, seconds=5) as two:
        began = monotonic()
        await two.broker.follow(names[:9_000])
        await asyncio.gather(*(two.broker.follow([name]) for name in names[9_000:]))
        assert monotonic() - began < 3
        gaps = two.gaps
        store.cut()
        await until(lambda: two.gaps > gaps)
        await one.broker.publish([say(name, "x") for name in names])
        await until(lambda: len(two.packets) >= len(names))
        assert {packet.channel for packet in two.packets} == set(names)


async def test_a_connection_that_breaks_while_all_is_followed_again_leaves_its_gap_to_the_next(
    store: Store, between: Proxy
) -> None:
    async with node(by(between)) as one, node(store.url) as two:
        await one.broker.follow([f"echo:{number}" for number in range(3000)])
        await until(lambda: one.gaps == 2)
        gaps = one.gaps
        between.only, between.delay = b"SUBSCRIBE", 0.1
        for _ in range(5):
            between.cut()
            # Of the six rounds that it takes, some are answered by then.
            await asyncio.sleep(0.3)
        assert one.gaps == gaps
        between.delay = 0.0
        await until(lambda: one.gaps == gaps + 1)
        await two.broker.publish([say(f"echo:{number}", "x") for number in range(3000)])
        await until(lambda: len(one.packets) == 3000)


async def test_a_follow_that_came_too_late_is_still_wanted_until_it_is_forgotten(
    store: Store, between: Proxy
) -> None:
    async with node(by(between)) as one, node(store.url) as two:
        between.only, between.swallow = b"SUBSCRIBE", True
        for name in ("echo:x", "echo:y"):
            with pytest.raises(Unavailable):
                await one.broker.follow([name])
        await one.broker.forget(["echo:x"])
        between.swallow = False
        await until(lambda: one.gaps == 2)
        await two.broker.publish([say("echo:x", "x"), say("echo:y", "last")])
        await until(lambda: say("echo:y", "last") in one.packets)
        assert {packet.channel for packet in one.packets} == {"echo:y"}


@pytest.mark.parametrize("seed", range(2))
async def test_after_any_follows_and_forgets_over_broken_connections_what_is_wanted_is_so(
    store: Store, between: Proxy, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.redis.connecting.RETRY_SECONDS", 0.01)
    dice = random.Random(seed)
    names = [f"echo:{number}" for number in range(30)]
    wanted: set[str] = set()
    between.only = b"SUBSCRIBE"
    async with node(by(between)) as one, node(store.url) as two, AsyncExitStack() as stack:
        await one.broker.follow(["echo:last"])
        waiting: list[asyncio.Task[None]] = []
        for _ in range(200):
            some = set(dice.sample(names, dice.randint(1, 5)))
            if dice.random() < 0.5:
                wanted |= some
                task = asyncio.create_task(one.broker.follow(some))
                waiting.append(task)
                stack.callback(task.cancel)
                if dice.random() < 0.1:
                    await asyncio.sleep(0)
                    task.cancel()
            else:
                wanted -= some
                await one.broker.forget(some)
            await asyncio.sleep(dice.choice([0, 0, 0.002, 0.02]))
            if dice.random() < 0.02:
                between.cut()
            between.delay = dice.choice([0, 0, 0.002])
        between.delay = 0.0
        await asyncio.gather(*waiting, return_exceptions=True)
        await one.broker.follow(wanted)
        await two.broker.publish([say(name, "x") for name in [*names, "echo:last"]])
        await until(lambda: say("echo:last", "x") in one.packets)
        assert {packet.channel for packet in one.packets} == wanted | {"echo:last"}


# who takes nothing, and the end


async def test_what_nobody_takes_is_dropped_for_a_gap_where_it_becomes_too_much(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.broker.packets.MOST_BYTES", 100_000)
    sent = [say("echo:x", "x" * 1000, number) for number in range(500)]
    async with node(store.url) as one:
        await one.broker.follow(["echo:x"])
        await until(lambda: one.gaps == 2)
        with capture_logs() as logs:
            one.listening.cancel()
            await one.broker.publish(sent)
            await until(lambda: sum(each["dropped"] for each in logs) > 400)
            waiting = Node(one.broker)
            await until(lambda: sent[-1] in waiting.packets)
            waiting.listening.cancel()
    assert waiting.arrived[:2] == [Gap(), Gap()]
    assert waiting.packets == sent[-len(waiting.packets) :]
    assert len(waiting.packets) < 100
    assert {each["event"] for each in logs} == {"nobody takes what arrives"}


async def test_who_asks_for_deliveries_again_hears_of_a_gap_first(store: Store) -> None:
    async with node(store.url) as one:
        await until(lambda: one.gaps)
        deliveries = one.broker.deliveries()
        assert await anext(deliveries) == Gap()


@pytest.mark.parametrize("state", ["idle", "connecting", "subscribing", "pausing", "at once"])
async def test_the_end_of_the_scope_is_at_once_in_any_state(
    store: Store, between: Proxy, state: str
) -> None:
    between.half_open = state == "connecting"
    between.refuse = state == "pausing"
    if state == "subscribing":
        between.only, between.swallow = b"SUBSCRIBE", True
    async with node(by(between), seconds=60) as one:
        if state != "at once":
            await asyncio.sleep(0.1)
        following = asyncio.create_task(one.broker.follow(["echo:x"]))
        await asyncio.sleep(0)
        began = monotonic()
    assert monotonic() - began < 0.2
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    between.half_open = False
