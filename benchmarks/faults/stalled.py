"""One reader of a room reads nothing: what the others notice, and what becomes of it."""

import asyncio
import gc
import statistics
from array import array
from dataclasses import dataclass
from time import monotonic, monotonic_ns, process_time

from ..driver.tally import MeasurementError
from ..service import Service
from ..table import number
from .finding import Finding
from .peer import LOST, SMALL, Peer
from .server import ROOM, Server, drive, running

TITLE = "One stalled reader in a room"
CLOSES, CODES = "websocket_closes_total", ("4001", "4002")
"""Too slow, or no sign of life; which comes first is up to when the first heartbeat was."""
GONE = "gone, "
MIB = 1 << 20
WARM_UP = 1.0
"""Seconds whose deliveries do not count."""


@dataclass(frozen=True)
class Plan:
    """How much."""

    pairs: int = 5
    readers: int = 200
    rate: float = 100.0
    """Messages per second."""
    size: int = 4000
    """Characters per message; the most that a room takes."""
    seconds: float = 20.0
    outbox_seconds: float = 10.0
    pause: float = 3.0
    """How long the reader pauses that is to be caught up."""


QUICK = Plan(pairs=1, readers=10, rate=200, seconds=5, outbox_seconds=4)
CATCH_UP_RATE, CATCH_UP_READERS = 600.0, 10
"""So much that the outbox overflows during a short pause."""


class Reader(Peer):
    """Notes how long each message took, and whether one is missing or came twice."""

    offset = 0
    since = 0
    wrong = 0
    """Messages that did not follow the one before."""
    lag = 0

    async def enter(self) -> None:
        """Subscribe; nothing is kept from here on."""
        self.took = array("q")
        self.offset = (await self.subscribe(ROOM))["offset"]

    def text(self, payload: bytes) -> None:
        """Look at nothing but the offset and the time at which it was sent."""
        if not payload.startswith(b'{"type":"message"'):
            self.lag += payload.startswith(b'{"type":"lag"')
            super().text(payload)
            return
        now = monotonic_ns()
        at = payload.index(b'"offset":') + 9
        offset = int(payload[at : payload.index(b",", at)])
        at = payload.index(b'"@') + 2
        sent = int(payload[at : at + 20])
        self.wrong += offset != self.offset + 1
        self.offset = offset
        if sent >= self.since:
            self.took.append(now - sent)


@dataclass(frozen=True)
class Seen:
    """One run: milliseconds, and bytes."""

    p50: float
    p99: float
    memory: list[int]
    """From the beginning, every so many messages."""
    driver: float
    """The part of one core that the clients took."""
    fate: str = ""

    def beyond(self, usual: "Seen") -> float:
        """The most memory that it took more than another run, at the same message, in MiB."""
        return max(a - b for a, b in zip(self.memory, usual.memory, strict=True)) / MIB


async def publish(
    publisher: Peer, server: Server, size: int, rate: float, seconds: float
) -> list[int]:
    """Publish at a steady rate; the memory that the server had meanwhile, every ten messages."""
    filler, due, memory = "x" * (size - 21), monotonic(), []
    for count in range(int(rate * seconds)):
        text = f"@{monotonic_ns():020d}{filler}"
        publisher.say(type="publish", channel=ROOM, data={"text": text})
        if not count % 10:
            memory.append(server.rss)
        due += 1 / rate
        await asyncio.sleep(due - monotonic())
    return memory


async def everybody(readers: list[Reader], offset: int, seconds: float = 30.0) -> None:
    """Return once all have everything up to an offset; raises if one has not, or has a hole."""
    end = monotonic() + seconds
    while any(reader.offset < offset for reader in readers) and monotonic() < end:
        await asyncio.sleep(0.05)
    for reader in readers:
        if reader.offset != offset or reader.wrong:
            raise MeasurementError(
                f"a reader is at {reader.offset} of {offset}, {reader.wrong} out of order, "
                f"closed: {reader.ended.is_set()} {reader.code}"
            )


async def load(server: Server, plan: Plan, stalled: bool) -> Seen:
    """A room under load, with or without one that does not read."""
    readers = await Reader.several(server.port, plan.readers)
    await asyncio.gather(*(reader.enter() for reader in readers))
    publisher = await Peer().open(server.port)
    asleep = await Reader().open(server.port, buffer=SMALL)
    if stalled:
        await asleep.enter()
        asleep.stall()
    await asyncio.sleep(1)
    for reader in readers:
        reader.since = monotonic_ns() + int(WARM_UP * 1e9)
    gc.collect()
    gc.disable()
    before, cpu, begin = server.rss, process_time(), monotonic()
    memory = await publish(publisher, server, plan.size, plan.rate, plan.seconds)
    driver = (process_time() - cpu) / (monotonic() - begin)
    gc.enable()
    await everybody(readers, int(plan.rate * plan.seconds))
    took = sorted(each for reader in readers for each in reader.took)
    fate = await fate_of(server, plan, asleep) if stalled else ""
    for peer in (*readers, publisher, asleep):
        peer.reset()
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    grown = [each - before for each in memory]
    return Seen(p50 / 1e6, p99 / 1e6, grown, driver, fate)


async def fate_of(server: Server, plan: Plan, asleep: Reader) -> str:
    """What became of one that did not read, once it reads again."""
    end = monotonic() + plan.outbox_seconds + 15
    while not (counted := closed(server)) and monotonic() < end:
        await asyncio.sleep(0.5)
    asleep.read_on()
    if not await asleep.until_ended() or not counted:
        return f"not closed by the service, {asleep.code} at {asleep.offset}"
    said = "cut" if asleep.code == LOST else f"closed with {asleep.code}"
    return f"{GONE}{said}, counted as {counted}" + (", out of order" if asleep.wrong else "")


def closed(server: Server) -> str | None:
    """The code with which the service has closed a connection, by its own count."""
    seen = server.metrics()
    return next((code for code in CODES if seen.get(f'{CLOSES}{{code="{code}"}}')), None)


async def catch_up(server: Server, plan: Plan) -> tuple[Reader, int]:
    """A reader that pauses, then reads on: itself, and how much was published."""
    readers = await Reader.several(server.port, CATCH_UP_READERS)
    publisher, paused = await Peer().open(server.port), Reader()
    await paused.open(server.port, buffer=SMALL)
    await asyncio.gather(*(reader.enter() for reader in (*readers, paused)))
    paused.stall()
    asyncio.get_running_loop().call_later(plan.pause, paused.read_on)
    await publish(publisher, server, plan.size, CATCH_UP_RATE, plan.pause * 2)
    published = int(CATCH_UP_RATE * plan.pause * 2)
    await everybody(readers, published)
    try:
        await everybody([paused], published, plan.outbox_seconds)
    except MeasurementError as short:
        print(f"          {short}", flush=True)
    for peer in (*readers, publisher, paused):
        peer.reset()
    return paused, published


def measure(service: Service, plan: Plan) -> Finding:
    """Pairs of runs with and without, then the pause."""
    settings = {
        "APP_OUTBOX_SECONDS": str(plan.outbox_seconds),
        "APP_HEARTBEAT_SECONDS": "300",
        "APP_HISTORY_LENGTH": "100000",
    }
    pairs: list[tuple[Seen, Seen]] = []
    for turn in range(plan.pairs):
        seen: dict[bool, Seen] = {}
        for stalled in (False, True) if turn % 2 else (True, False):
            with running(service, "stalled", **settings) as server:
                seen[stalled] = one = drive(load(server, plan, stalled))
            name = "with" if stalled else "without"
            print(f"  {turn + 1}/{plan.pairs} {name}: p99 {one.p99:.2f} ms {one.fate}", flush=True)
        pairs.append((seen[False], seen[True]))
    with running(service, "stalled", **settings) as server:
        paused, published = drive(catch_up(server, plan))
    return judged(plan, pairs, paused, published)


def judged(plan: Plan, pairs: list[tuple[Seen, Seen]], paused: Reader, published: int) -> Finding:
    """What that means."""
    ratio = statistics.median(slow.p99 / usual.p99 for usual, slow in pairs)
    memory = statistics.median(slow.beyond(usual) for usual, slow in pairs)
    fates = {slow.fate for _, slow in pairs}
    gone = all(fate.startswith(GONE) and "order" not in fate for fate in fates)
    caught_up = paused.lag > 0 and (paused.offset, paused.wrong) == (published, 0)
    after = (
        f"`lag` {paused.lag} times, at {paused.offset} of {published}, {paused.wrong} out of order"
    )
    found = Finding(TITLE)
    found.claim("p99 of the others, median of the ratios ≤ 1.2", f"{ratio:.2f}", ratio <= 1.2)
    found.claim("it is gone, with its code or cut", "; ".join(sorted(fates)), gone)
    found.claim("its memory, median ≤ 1.5 MiB", f"{memory:.2f} MiB", memory <= 1.5)
    found.claim(f"after a pause of {plan.pause:g} s it has everything, once", after, caught_up)
    found.head = [
        *("pair", "p50 without, ms", "with", "p99 without, ms", "with", "ratio of p99"),
        *("memory for it, MiB", "driver's core"),
    ]
    found.rows = [
        [
            *(str(turn), number(usual.p50), number(slow.p50), number(usual.p99), number(slow.p99)),
            *(number(slow.p99 / usual.p99), number(slow.beyond(usual))),
            f"{max(usual.driver, slow.driver):.0%}",
        ]
        for turn, (usual, slow) in enumerate(pairs, 1)
    ]
    found.notes = (
        f"{plan.readers} readers, {plan.rate:g} messages of {plan.size} characters per second for "
        f"{plan.seconds:g} s, in pairs of a run with and a run without one that does not read; a "
        "run in which another lacks a message, or gets one twice or out of order, fails. "
        "Heartbeats are so rare that the outbox decides. For the "
        f"pause, {CATCH_UP_RATE:g} per second to {CATCH_UP_READERS} others. Memory is RSS, the "
        "largest difference between the runs of a pair at the same message; buffers of the kernel "
        "are not in it."
    )
    return found
