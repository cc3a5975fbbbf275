"""Connects and disconnects, a fifth of them abrupt: what the service still has afterwards."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from ..driver.connection import HOST
from ..driver.frames import upgrade_request
from ..driver.tally import MeasurementError
from ..service import Service
from ..table import number as figure
from .finding import Finding
from .peer import Peer
from .server import INSIDE, ROOM, Server, drive, running

TITLE = "Connects and disconnects"
GAUGES = "websocket_active_connections", "realtime_queue_bytes", "process_open_fds"
PART = 10_000
SETTLING = 90.0
"""Seconds within which everything has to be as before; deadlines that are over leave by then."""


@dataclass(frozen=True)
class Plan:
    """How many."""

    churned: int = 100_000
    warm_up: int = 10_000
    at_once: int = 50
    heartbeat: float = 25.0


QUICK = Plan(churned=200, warm_up=50, at_once=10, heartbeat=1)


async def one(port: int, number: int) -> None:
    """One of ten kinds: one reset while it is served, one in its handshake, eight that say bye."""
    peer, address = Peer(), f"127.0.0.{number % 50 + 1}"
    kind = number % 10
    if kind == 0:
        await peer.connect(port, address)
        request = upgrade_request(HOST, "/ws", b64encode(os.urandom(16)), "v1.json")
        peer.transport.write(request[: len(request) // (1 + number // 10 % 3)])
        await asyncio.sleep(0)
        peer.reset()
        return
    await peer.open(port, address=address)
    if kind < 9:
        await peer.subscribe(ROOM, presence=number % 3 == 0)
    if kind == 1:
        peer.reset()
        return
    peer.leave()
    if not await peer.until_ended() or peer.code != 1000:
        raise MeasurementError(f"closed with {peer.code} instead of 1000")
    peer.transport.abort()


async def churn(port: int, plan: Plan, count: int) -> None:
    """As many as that, some at a time."""
    numbers = iter(range(count))

    async def some(numbers: Iterator[int]) -> None:
        for number in numbers:
            await one(port, number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(plan.at_once):
            tasks.create_task(some(numbers))


def look(server: Server) -> dict[str, float]:
    """Everything that may not grow; memory is apart."""
    metrics, inside = server.metrics(), server.ask("/inside")
    return {
        "descriptors": server.descriptors,
        **{name: metrics[name] for name in GAUGES},
        "connections (/health)": server.ask("/health")["connections"],
        "presence of the room (REST)": server.ask(f"/api/channels/{ROOM}/presence")["count"],
        **inside,
    }


async def settled(server: Server, wanted: dict[str, float] | None) -> dict[str, float]:
    """What there is once it is as wanted, or no longer changes, or after a bounded time."""
    end, last = monotonic() + SETTLING, look(server)
    while monotonic() < end:
        await asyncio.sleep(2)
        last, now = look(server), last
        if last == wanted or (wanted is None and last == now):
            break
    return last


async def carry_out(server: Server, plan: Plan) -> tuple[list[dict[str, float]], list[list[int]]]:
    """What there was before and after, and the memory in between; one stays in the room."""
    keeper = await Peer().open(server.port)
    await keeper.subscribe(ROOM)
    await churn(server.port, plan, plan.warm_up)
    if plan.warm_up >= PART:
        await asyncio.sleep(plan.heartbeat + 8)  # the deadlines of those who left
    before = await settled(server, None)
    memory = [[server.rss, server.pss]]
    begin, done = monotonic(), 0
    while done < plan.churned:
        part = min(PART, plan.churned - done)
        await churn(server.port, plan, part)
        done += part
        rate = done / (monotonic() - begin)
        memory.append([server.rss, server.pss])
        print(f"  {done} of {plan.churned}, {rate:.0f} per second, RSS {memory[-1][0] >> 20} MiB",
              flush=True)  # fmt: skip
    after = await settled(server, before)
    memory.append([server.rss, server.pss])
    keeper.leave()
    return [before, after], memory


def measure(service: Service, plan: Plan) -> Finding:
    """Warm up, look, churn, look again."""
    settings = {
        "APP_HEARTBEAT_SECONDS": f"{plan.heartbeat}",
        "APP_PRESENCE_GRACE_SECONDS": "1",
        "APP_SWEEP_SECONDS": "1",
    }
    with running(service, "churn", str(INSIDE), **settings) as server:
        (before, after), memory = drive(carry_out(server, plan))
        tracebacks = server.tracebacks
    names = before.keys() | after.keys()
    pairs = {name: (before.get(name, 0), after.get(name, 0)) for name in sorted(names)}
    changed = [f"{name} {was:g} → {now:g}" for name, (was, now) in pairs.items() if was != now]
    growth = max(now / was for was, now in zip(memory[0], memory[-1], strict=True)) - 1
    found = Finding(TITLE)
    found.claim("everything is as before", "; ".join(changed) or "it is", not changed)
    found.claim("memory since the warm-up ≤ +5 %", f"{growth:+.1%}", growth <= 0.05)
    found.claim("no traceback in the log", tracebacks, not tracebacks)
    found.head = ["what there is", "after the warm-up", "at the end"]
    found.rows = [[name, f"{was:g}", f"{now:g}"] for name, (was, now) in pairs.items()] + [
        [name, *(figure(each[place] / 2**20) for each in (memory[0], memory[-1]))]
        for place, name in enumerate(("RSS, MiB", "PSS, MiB"))
    ]
    found.notes = (
        f"{plan.churned:,} after {plan.warm_up:,}, {plan.at_once} at a time: of ten one is reset "
        "while it is served and one in its handshake; the others close as one should, and all "
        "but one of them subscribe to the room. One more stays in it. Garbage is collected before "
        "each look. `node.` is what a collection of the service holds."
    )
    return found
