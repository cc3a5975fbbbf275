"""What may happen in a plan, and how hypothesis makes plans of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hypothesis import strategies as st

from app.protocol.channels import START, Position

from .client import Client
from .scenario import CHANNELS, Plan, Step, World

T = TypeVar("T")


@dataclass(frozen=True)
class Subscribe:
    """A client subscribes again: anew, or from `back` before where it stands, or from beyond."""

    client: int
    channel: str
    last: int
    back: int | None

    def begin(self, world: World) -> None:
        """Give the commands."""
        client = world.clients[self.client % len(world.clients)]
        client.commands.put_nowait(partial(client.unsubscribe, self.channel))
        client.commands.put_nowait(partial(self._subscribe, client))

    async def _subscribe(self, client: Client) -> None:
        stands = client.witness.positions.get(self.channel, START)
        since = None
        if self.back is not None:
            since = (
                Position(stands.epoch, max(stands.offset - self.back, 0)) if stands.epoch else START
            )
        await client.subscribe(self.channel, since, self.last)


@dataclass(frozen=True)
class Unsubscribe:
    """A client unsubscribes."""

    client: int
    channel: str

    def begin(self, world: World) -> None:
        """Give the command."""
        client = world.clients[self.client % len(world.clients)]
        client.commands.put_nowait(partial(client.unsubscribe, self.channel))


@dataclass(frozen=True)
class Reconnect:
    """A client loses its connection and recovers, perhaps on another node."""

    client: int
    node: int

    def begin(self, world: World) -> None:
        """Cut the connection and open another."""
        client = world.clients[self.client % len(world.clients)]
        hub = world.hubs[self.node % len(world.hubs)]
        client.reconnect(hub)


@dataclass(frozen=True)
class TimeOut:
    """What a client's command waits for takes too long."""

    client: int

    def begin(self, world: World) -> None:
        """Cancel what it waits for."""
        world.clients[self.client % len(world.clients)].time_out()


@dataclass(frozen=True)
class Stall:
    """A client reads no more, or again."""

    client: int

    def begin(self, world: World) -> None:
        """Change between the two."""
        connection = world.clients[self.client % len(world.clients)].connection
        if connection is not None:
            flowing = connection.flowing
            flowing.clear() if flowing.is_set() else flowing.set()


@dataclass(frozen=True)
class Publish:
    """Messages are published, one `every` so often, each `keyed`th with one of ten keys.

    If `twice`, those with a key are published on two nodes at the same time.
    """

    node: int
    channel: str
    count: int
    every: float
    keyed: int = 0
    first: int = 0
    twice: bool = False

    def begin(self, world: World) -> None:
        """Give the commands."""
        for number in range(self.count):
            key, after = None, number * self.every
            if self.keyed and number % self.keyed == 0:
                key = f"key{(self.first + number) % 10}"
                if self.twice:
                    world.publishers.begin(self.node + 1, self.channel, key, after=after)
            world.publishers.begin(self.node, self.channel, key, after=after)


@dataclass(frozen=True)
class Rotate:
    """A store notices that it lost its newest publications."""

    channel: str
    lost: int

    def begin(self, world: World) -> None:
        """Begin a new epoch."""
        world.ledger.rotate(self.channel, self.lost)


@dataclass(frozen=True)
class GoBack:
    """A store loses its newest publications, and does not notice."""

    channel: str
    lost: int

    def begin(self, world: World) -> None:
        """Lose them."""
        world.ledger.archive.go_back(self.channel, self.lost)


@dataclass(frozen=True)
class Deafen:
    """A node hears nothing from its broker, or again; then it may know that it missed something."""

    node: int
    knows: bool

    def begin(self, world: World) -> None:
        """Change between the two."""
        world.brokers[self.node % len(world.brokers)].change_hearing(self.knows)


def _steps(*, lossless: bool) -> st.SearchStrategy[Step]:
    client, node = st.integers(0, 3), st.integers(0, 2)
    channel = st.sampled_from([CHANNELS[0], *CHANNELS])
    back = st.sampled_from([None, None, None, 0, 0, 0, 1, 3, 8, 20, -3])
    publish = st.builds(
        Publish,
        node=node,
        channel=channel,
        count=st.sampled_from([1, 10, 30]),
        every=st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.5]),
        keyed=st.sampled_from([0, 1, 3]),
        first=st.integers(0, 9),
        twice=st.booleans(),
    )
    subscribe = st.builds(Subscribe, client, channel, st.sampled_from([0, 0, 2, 100]), back)
    reconnect = st.builds(Reconnect, client, node)
    rare: list[st.SearchStrategy[Step]] = [
        st.builds(Unsubscribe, client, channel),
        st.builds(TimeOut, client),
        st.builds(Stall, client),
    ]
    if not lossless:
        rare += [
            st.builds(Deafen, node, st.booleans()),
            st.builds(Rotate, channel, st.sampled_from([0, 0, 1, 4])),
        ]
    # `one_of` would give each kind the same weight.
    kinds: list[st.SearchStrategy[Step]]
    kinds = [*[publish] * 5, *[subscribe] * 5, *[reconnect] * 4, *rare]
    return st.sampled_from(range(len(kinds))).flatmap(lambda kind: kinds[kind])


def _sized(strategy: Callable[[int], st.SearchStrategy[T]], *sizes: int) -> st.SearchStrategy[T]:
    """Of one of these sizes: left to itself hypothesis makes mostly small things."""
    return st.sampled_from(sizes).flatmap(strategy)


def plans(*, lossless: bool) -> st.SearchStrategy[Plan]:
    """Plans of up to sixty steps."""
    pause = st.sampled_from([0.0, -1.0, -3.0, 0.001, 0.01, 0.02, 0.06, 0.06, 0.2, 0.2, 1.0, 11.0])
    step = st.tuples(pause, _steps(lossless=lossless))
    return st.builds(
        Plan,
        steps=_sized(lambda n: st.lists(step, min_size=n // 2, max_size=n), 8, 30, 60),
        tape=_sized(lambda n: st.binary(min_size=n, max_size=n), 0, 20, 100, 300),
        lossless=st.just(lossless),
        carries=st.booleans(),
        nodes=st.integers(2, 3),
        clients=st.integers(1, 4),
        page=st.sampled_from([1, 3, 100]),
        repair_limit=st.sampled_from([2, 5, 1000]),
        recovery_limit=st.sampled_from([4, 1000]),
        length=st.sampled_from([3, 10, 1000]),
    )
