"""Several workers on one machine: nodes of one service, one process to whoever runs them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed

from ..brokers import own_broker
from ..databases import own_database
from ..service import API_KEY, PATIENCE, Connected, Service, environment, running

COUNT = 2
PROGRAMS = Path(__file__).parent / "programs"
TERMINATED = (0, -signal.SIGTERM)


@contextmanager
def workers(folder: Path, **settings: str) -> Iterator[Service]:
    """A service by several workers, all of which are ready."""
    settings = {"APP_WORKERS": str(COUNT), "TMPDIR": str(folder), **settings}
    with running(folder, **settings) as service:
        ready(service)
        yield service
    assert "Traceback" not in service.log


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The workers of most tests, which leave as many as there were."""
    with workers(tmp_path_factory.mktemp("workers"), APP_ROOMS="lobby,help") as service:
        yield service


def ready(service: Service) -> set[int]:
    """The numbers of the workers' processes, once there are as many as there should be."""
    end = monotonic() + PATIENCE
    while True:
        log = service.log
        begun = [int(each.partition("]")[0]) for each in log.split("server process [")[1:]]
        there = {process for process in begun if not gone(process)}
        if len(there) == COUNT and log.count("startup complete") == log.count("Started server"):
            return there
        assert monotonic() < end, log
        sleep(0.01)


async def meet(stack: AsyncExitStack, service: Service, count: int = COUNT) -> list[Connected]:
    """One connection on each of so many workers, by users of their own; who else came has gone."""
    met: dict[str, Connected] = {}
    async with asyncio.timeout(PATIENCE):
        while len(met) < count:
            try:
                wire = await Connected.open(service, f"user-{len(met)}")
            except (OSError, ConnectionClosed):
                continue  # by a worker that is on its way out
            if met.setdefault(wire.welcome["node"], wire) is wire:
                stack.push_async_callback(wire.connection.close)
            else:
                await wire.connection.close()
    return list(met.values())


async def scraped(http: httpx2.AsyncClient) -> dict[str, float]:
    """What any worker tells Prometheus of all of them, by name and labels."""
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    found = text_string_to_metric_families(answer.text)
    return {
        " ".join((each.name, *each.labels.values())): each.value
        for family in found
        for each in family.samples
    }


async def scraped_until(
    service: Service, wanted: Callable[[dict[str, float]], bool]
) -> dict[str, float]:
    """What is told once it is as wanted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            # A connection of its own each time, so that any worker may answer.
            async with service.rest() as http:
                if wanted(found := await scraped(http)):
                    return found
            await asyncio.sleep(0.01)


def counted_in(folder: Path) -> list[Path]:
    """Where the workers of a service count."""
    return list(folder.glob("metrics-*"))


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_workers_are_nodes_of_one_service(shared: Service, channel: str) -> None:
    async with AsyncExitStack() as stack:
        ann, bob = await meet(stack, shared)
        assert ann.welcome["node"] != bob.welcome["node"]
        for wire in (ann, bob):
            await wire.ask(type="subscribe", channel=channel, presence=True)
        for offset, speaker in enumerate((ann, bob), 1):
            await speaker.say(type="publish", channel=channel, data={"text": "hello"})
            heard = [await hearer.hear_type("message") for hearer in (ann, bob)]
            assert [each["offset"] for each in heard] == [offset, offset]
            assert {each["from"]["id"] for each in heard} == {speaker.user}
        async with shared.rest({"X-API-Key": API_KEY}) as http:
            people = (await http.get(f"/api/channels/{channel}/presence")).json()
        assert {each["id"] for each in people["users"]} == {ann.user, bob.user}


async def test_workers_that_start_at_once_share_what_the_first_one_made(shared: Service) -> None:
    """The store had nothing yet, and there was no secret for what is signed."""
    async with shared.rest({"X-API-Key": API_KEY}) as http:
        rooms = (await http.get("/api/rooms")).json()
        assert (await http.get("/readyz")).json()["status"] == "ready"
    channels = [each["channel"] for each in rooms["rooms"]]
    assert [channels.count(each) for each in ("chat:help", "chat:lobby")] == [1, 1]
    begin, _, _ = shared.log.partition("session opened")[0].rpartition("\n")
    assert {json.loads(line)["level"] for line in begin.splitlines()} == {"info"}


async def test_a_worker_that_is_killed_is_replaced_and_its_clients_go_on(
    shared: Service, channel: str
) -> None:
    async with AsyncExitStack() as stack:
        victim, other = await meet(stack, shared)
        for wire in (victim, other):
            await wire.ask(type="subscribe", channel=channel)
        first = await other.ask(type="publish", channel=channel, data={"text": "before"})
        assert (await victim.hear_type("message"))["offset"] == first["offset"]
        await kill_worker_of(victim, shared)
        missed = await other.ask(type="publish", channel=channel, data={"text": "meanwhile"})
        await asyncio.to_thread(ready, shared)
        now = await meet(stack, shared)
        nodes = {each.welcome["node"] for each in now}
        assert victim.welcome["node"] not in nodes
        assert other.welcome["node"] in nodes
        since = {"epoch": first["epoch"], "offset": first["offset"]}
        for each in now:
            again = await each.ask(type="subscribe", channel=channel, since=since)
            assert again["recovered"]
            assert [each["offset"] for each in again["messages"]] == [missed["offset"]]


async def kill_worker_of(wire: Connected, service: Service) -> None:
    """Kill the process that a connection leads to, found by the connection itself."""
    port = wire.connection.local_address[1]
    for process in await asyncio.to_thread(ready, service):
        if port in await asyncio.to_thread(peers, process):
            os.kill(process, signal.SIGKILL)
            await wire.closed()
            return
    raise AssertionError(f"nobody has {port}")


def peers(process: int) -> set[int]:
    """The ports of those who are connected to a process."""
    sockets = {each.readlink().name for each in Path(f"/proc/{process}/fd").iterdir()}
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {
        int(each[2].rpartition(":")[2], 16) for each in fields if f"socket:[{each[9]}]" in sockets
    }


async def test_metrics_are_those_of_all_workers_whichever_is_asked(
    shared: Service, channel: str
) -> None:
    async with AsyncExitStack() as stack:
        ann, bob = await meet(stack, shared)
        for wire in (ann, bob):
            await wire.ask(type="subscribe", channel=channel)
        before = await scraped_until(shared, lambda now: now["websocket_active_connections"] == 2)
        for wire in (ann, bob):
            await wire.say(type="publish", channel=channel, data={"text": "x"})
        sent, received = "websocket_messages_total sent", "websocket_messages_total received"
        after = await scraped_until(shared, lambda now: now[sent] == before[sent] + 4)
        assert {(await scraped_until(shared, bool))[sent] for _ in range(10)} == {after[sent]}
        assert after[received] == before[received] + 2
        assert after["realtime_failing_tasks"] == 0
        assert after["realtime_recoveries_total too_far"] == 0
        await kill_worker_of(ann, shared)
        left = await scraped_until(shared, lambda now: now["websocket_active_connections"] == 1)
        assert left["websocket_connections_total"] == after["websocket_connections_total"]
        assert left[sent] == after[sent]
        await asyncio.to_thread(ready, shared)


async def test_sighup_replaces_one_worker_after_the_other(shared: Service) -> None:
    async with AsyncExitStack() as stack:
        before, old = await meet(stack, shared), await asyncio.to_thread(ready, shared)
        shared.send(signal.SIGHUP)
        for wire in before:
            assert (await wire.closed())[0] == 4000
        async with asyncio.timeout(PATIENCE):
            while not all(map(gone, old)):
                await asyncio.sleep(0.01)
        await asyncio.to_thread(ready, shared)
        nodes = [
            {each.welcome["node"] for each in met} for met in (before, await meet(stack, shared))
        ]
        assert not nodes[0] & nodes[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_workers_move_their_clients_and_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C comes to all of them at once, from the terminal."""
    settings = {"APP_DRAIN_SECONDS": "1.5", "APP_GRACE_SECONDS": "8"}
    with workers(tmp_path, **settings) as own:
        async with AsyncExitStack() as stack:
            met, processes = await meet(stack, own), ready(own)
            assert counted_in(tmp_path)
            own.send(number)
            if number == signal.SIGINT:
                for process in processes:
                    os.kill(process, number)
            begun = monotonic()
            for wire in met:
                assert (await wire.hear_type("reconnect"))["after_ms"] == 0
            for wire in met:
                assert (await wire.closed())[0] == 4000
            status = await asyncio.to_thread(own.wait)
            seconds = monotonic() - begun
        assert all(map(gone, processes))
    assert status in TERMINATED
    assert 0.5 < seconds < 4
    assert not counted_in(tmp_path)


async def test_workers_leave_when_what_started_them_is_killed(tmp_path: Path) -> None:
    """Else they would serve for ever, and nobody would know of them."""
    with workers(tmp_path) as own:
        async with AsyncExitStack() as stack:
            met, processes = await meet(stack, own), ready(own)
            own.kill()
            for wire in met:
                assert (await wire.closed())[0] == 4000
            async with asyncio.timeout(PATIENCE):
                while not all(map(gone, processes)):
                    await asyncio.sleep(0.01)


def test_who_cannot_begin_says_so_by_the_exit_status(tmp_path: Path) -> None:
    settings = {"APP_WORKERS": str(COUNT), "APP_PORT": "0", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "failing.py")],
        cwd=tmp_path,
        env=environment(settings | own_database(tmp_path) | own_broker(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "planted" in done.stderr
    assert done.returncode == 3
    assert not counted_in(tmp_path)
