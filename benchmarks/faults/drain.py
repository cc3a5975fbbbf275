"""SIGTERM with a thousand connections: when each is closed and how, and when the process ends."""

import asyncio
import json
import signal
from collections import Counter
from dataclasses import dataclass
from subprocess import TimeoutExpired
from time import monotonic
from typing import Any

from ..service import Service
from .finding import Finding
from .peer import LOST, SMALL, Peer
from .server import INSIDE, ROOM, Server, drive, running

TITLE = "A thousand connections, drained"
FLOOD = "echo:flood"
PIECE, PIECES = "x" * 60_000, 8
"""What is published at once: less than an outbox."""


@dataclass(frozen=True)
class Plan:
    """How much, and the settings of the service."""

    connections: int = 1_000
    window: float = 15.0
    grace: float = 25.0
    stalled: int = 50
    slow: int = 10


QUICK = Plan(connections=20, window=2, grace=5, stalled=2, slow=2)


class Leaver(Peer):
    """Does what `reconnect` asks, as both clients do; here, without the next connection."""

    told = False
    obeys = True

    def text(self, payload: bytes) -> None:
        """Leave when told."""
        if payload.startswith(b'{"type":"reconnect"'):
            self.told = True
            if self.obeys:
                after = json.loads(payload)["after_ms"] / 1000
                asyncio.get_running_loop().call_later(after, self.leave)
        else:
            super().text(payload)


class Stayer(Leaver):
    """Stays until it is closed."""

    obeys = False


@dataclass(frozen=True)
class Seen:
    """One drain."""

    name: str
    buckets: list[int]
    """Closes per second since the signal."""
    codes: dict[str, Counter[int]]
    told: int
    exit: float
    status: int | None
    connections: int

    @property
    def most(self) -> float:
        """The largest part that was closed within one second."""
        return max(self.buckets, default=0) / self.connections


async def drained(server: Server, plan: Plan, name: str, stalled: int, slow: int) -> Seen:
    """Open all, let some stall and some ask for what takes long, then end the service."""
    half = plan.connections // 2
    leavers = await Leaver.several(server.port, half)
    stayers = await Stayer.several(server.port, plan.connections - half)
    peers: list[Leaver] = [*leavers, *stayers]
    for some in range(0, len(peers), 50):
        await asyncio.gather(*(peer.subscribe(ROOM) for peer in peers[some : some + 50]))
    asleep = await stall(server, stalled)  # noqa: F841 - they have to stay
    waiting = await Peer.several(server.port, slow)
    for peer in waiting:
        peer.say(type="publish", channel="slow:x", data=1)
    while server.ask("/inside")["dawdling"] < slow:
        await asyncio.sleep(0.1)
    begin = monotonic()
    server.process.send_signal(signal.SIGTERM)
    ended = await asyncio.to_thread(_wait, server, plan.grace + 15)
    took = monotonic() - begin
    for peer in (*peers, *waiting):
        await peer.until_ended(5)
    seconds = Counter(int(peer.ended_at - begin) for peer in peers)
    return Seen(
        name,
        [seconds[second] for second in range(max(seconds) + 1)],
        {
            "told to leave, and does": Counter(peer.code for peer in leavers),
            "stays": Counter(peer.code for peer in stayers),
            "in a slow command": Counter(peer.code for peer in waiting),
        },
        sum(peer.told for peer in peers),
        took,
        ended,
        plan.connections,
    )


async def stall(server: Server, count: int) -> list[Peer]:
    """Peers that read nothing, and for whom the service holds something back."""
    asleep = await Peer.several(server.port, count, buffer=SMALL)
    publisher = await Peer().open(server.port)
    for peer in asleep:
        await peer.subscribe(FLOOD)
        peer.stall()
    for _ in range(20):
        if server.metrics()["realtime_queue_bytes"] > count * 100_000 or not count:
            break
        for _ in range(PIECES):
            publisher.say(type="publish", channel=FLOOD, data=PIECE)
        await asyncio.sleep(1.2)  # the figure is brought up to date each second
    publisher.reset()
    return asleep


def _wait(server: Server, seconds: float) -> int | None:
    try:
        return server.process.wait(seconds)
    except TimeoutExpired:
        return None


def measure(service: Service, plan: Plan) -> Finding:
    """Once with peers that behave, once with some that do not."""
    settings: dict[str, Any] = {
        "APP_DRAIN_SECONDS": str(plan.window),
        "APP_GRACE_SECONDS": str(plan.grace),
    }
    seen = []
    for name, stalled, slow in (
        ("all read", 0, 0),
        (f"{plan.stalled} stalled, {plan.slow} slow", plan.stalled, plan.slow),
    ):
        with running(service, "drain", str(INSIDE), **settings) as server:
            seen.append(one := drive(drained(server, plan, name, stalled, slow)))
            print(f"  {name}: {one.buckets}, exit after {one.exit:.1f} s", flush=True)
    return judged(plan, seen)


def judged(plan: Plan, seen: list[Seen]) -> Finding:
    """What that means."""
    lost = [sum(codes[LOST] for codes in each.codes.values()) for each in seen]
    most, longest = max(each.most for each in seen), max(each.exit for each in seen)
    told, statuses = [each.told for each in seen], [each.status for each in seen]
    ended = f"after {longest:.1f} s at most, status {statuses}"
    in_time = longest <= plan.grace and None not in statuses
    found = Finding(TITLE)
    found.claim("closes in the fullest second ≤ 15 %", f"{most:.1%}", most <= 0.15)
    found.claim("none that reads sees 1006", f"{lost} do", not any(lost))
    found.claim("all are told `reconnect`", f"{told} are", set(told) == {plan.connections})
    found.claim(f"the process ends within {plan.grace:g} s", ended, in_time)
    found.head = ["run", "fullest second", "closes per second", "close codes", "exit after, s"]
    found.rows = [
        [
            *(each.name, f"{each.most:.1%}", " ".join(map(str, each.buckets))),
            "; ".join(f"{who}: {said(codes)}" for who, codes in each.codes.items() if codes),
            f"{each.exit:.1f}",
        ]
        for each in seen
    ]
    found.notes = (
        f"{plan.connections} connections in one room; half leave when `reconnect` tells them to, "
        f"half never do. The window is {plan.window:g} s. Counted is the second in which the close "
        "arrives, or the end of one without; 1000 answers a client's own close."
    )
    return found


def said(codes: Counter[int]) -> str:
    """Close codes, and how often each."""
    return ", ".join(f"{count} of {code}" for code, count in sorted(codes.items()))
