"""How the process ends: clients move one after another, and nobody holds it up."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..conftest import Connect
from ..service import PATIENCE, PROGRAM, Connected, Service, Wire, enter, knock, running

BY_HAND = ("-m", "uvicorn", "app.main:app", "--port", "0")
HERE = Path(__file__).parent
SLOW = (str(HERE / "slow.py"),)
SLOW_BY_HAND = ("-m", "uvicorn", "--app-dir", str(HERE), "slow:app", "--port", "0")
TERMINATED = (0, -signal.SIGTERM)


@dataclass(frozen=True)
class Leave:
    """How one client was told to move, and how that went, in seconds after the signal."""

    after: float
    deadline: float
    code: int
    ended: float


async def leave(wire: Wire, begun: float, *, moves: bool) -> Leave:
    """Hear that the node is leaving; go when told to, or not at all."""
    told = await wire.hear_type("reconnect")
    after, deadline = told["after_ms"] / 1000, told["deadline_ms"] / 1000
    if moves:
        await asyncio.sleep(begun + after - monotonic())
        await wire.connection.close()
    code, _ = await wire.closed()
    return Leave(after, deadline, code, monotonic() - begun)


async def ending(service: Service, begun: float) -> tuple[int, float]:
    """The exit status, and the seconds that the end took."""
    return await asyncio.to_thread(service.wait), monotonic() - begun


@pytest.mark.parametrize("program", [PROGRAM, BY_HAND], ids=["python", "uvicorn"])
async def test_clients_are_moved_one_after_another(
    tmp_path: Path, connect: Connect, program: Sequence[str]
) -> None:
    """Every third one goes when it is asked to, the others ignore it."""
    settings = {"APP_DRAIN_SECONDS": "3", "APP_GRACE_SECONDS": "8"}
    with running(tmp_path, program=program, **settings) as own:
        wires = [await connect(f"user-{number % 6}", to=own) for number in range(60)]
        async with own.rest() as http:
            assert (await http.get("/readyz")).status_code == 200
            own.send(signal.SIGTERM)
            begun = monotonic()
            async with asyncio.TaskGroup() as tasks:
                leaving = [
                    tasks.create_task(leave(wire, begun, moves=number % 3 == 0))
                    for number, wire in enumerate(wires)
                ]
                exit = tasks.create_task(ending(own, begun))
                while (ready := await http.get("/readyz")).status_code == 200:
                    await asyncio.sleep(0.01)
                assert ready.status_code == 503
                assert "leaving" in ready.json()["reasons"][0]
                health = (await http.get("/health")).json()
                assert health["status"] == "unready"
                assert health["reasons"] == ready.json()["reasons"]
                assert health["connections"] > 0
                with pytest.raises(InvalidStatus) as refused:
                    await knock(own, await own.shown(None))
                assert refused.value.response.status_code == 503
                assert refused.value.response.headers["Retry-After"] == "1"
        left = [each.result() for each in leaving]
        status, seconds = exit.result()
        assert "Traceback" not in own.log
    assert status in TERMINATED
    assert seconds < 5
    assert sorted(each.after for each in left) == pytest.approx(
        [n / 30 for n in range(60)], abs=1e-3
    )
    assert [each.after for each in left] != sorted(each.after for each in left)
    assert all(each.deadline == pytest.approx(each.after + 1, abs=2e-3) for each in left)
    for number, each in enumerate(left):
        if number % 3 == 0:
            assert each.code == 1000
        else:
            assert each.code == 4000
            assert each.deadline - 0.01 < each.ended < each.deadline + 0.5


@asynccontextmanager
async def stalled(service: Service, user: str) -> AsyncIterator[None]:
    """Somebody who subscribes to a busy room, and then reads no more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", service.port))
    wire = await enter(service, user, sock=raw)
    async with wire.connection as connection:
        await wire.say(type="subscribe", channel="chat:lobby")
        await wire.hear_type("subscribed")
        connection.transport.pause_reading()
        try:
            yield
        finally:
            connection.transport.abort()


@pytest.mark.parametrize("program", [SLOW, SLOW_BY_HAND], ids=["python", "uvicorn"])
async def test_nobody_holds_it_up(tmp_path: Path, connect: Connect, program: Sequence[str]) -> None:
    """Ten peers do not read, three sessions are inside a command that takes half a minute."""
    settings = {"APP_DRAIN_SECONDS": "1", "APP_GRACE_SECONDS": "8", "APP_COMMAND_SECONDS": "60"}
    async with AsyncExitStack() as stack:
        own = stack.enter_context(running(tmp_path, program=program, **settings))
        busy = await connect("busy", to=own)
        sleepers = [await connect(f"sleeper-{number}", to=own) for number in range(3)]
        for number in range(10):
            await stack.enter_async_context(stalled(own, f"stalled-{number % 5}"))
        for _ in range(1500):
            await busy.say(type="publish", channel="chat:lobby", data={"text": "x" * 4000})
        await busy.ask(type="ping")
        for each in sleepers:
            await each.say(type="publish", channel="slow:a", data={"seconds": 30})
        await logged(own, "asleep", 3)
        own.send(signal.SIGTERM)
        begun = monotonic()
        codes = [(await each.closed())[0] for each in (busy, *sleepers)]
        status, seconds = await ending(own, begun)
        log = own.log
    assert codes == [4000] * 4
    assert status in TERMINATED
    assert seconds < 8
    assert "Traceback" not in log
    # Sessions may use the stores up to their last moment.
    assert log.count('"awake"') == 3
    assert log.rindex('"awake"') < log.index("history closed")


async def test_a_thread_that_does_not_return_is_not_waited_for(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, program=SLOW) as own:
        ann = await connect(to=own)
        await ann.say(type="publish", channel="stuck:a", data={"seconds": 60})
        await logged(own, "asleep", 1)
        own.send(signal.SIGTERM)
        status, seconds = await ending(own, monotonic())
    assert status in TERMINATED
    assert seconds < 2


async def logged(service: Service, text: str, count: int) -> None:
    """Wait until the service has logged something so often."""
    async with asyncio.timeout(PATIENCE):
        while service.log.count(f'"{text}"') < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("program", [PROGRAM, BY_HAND], ids=["python", "uvicorn"])
async def test_in_development_it_ends_at_once(
    tmp_path: Path, connect: Connect, program: Sequence[str]
) -> None:
    with running(tmp_path, program=program) as own:
        wires = [await connect(f"user-{number}", to=own) for number in range(5)]
        own.send(signal.SIGINT)
        begun = monotonic()
        for wire in wires:
            heard = await everything(wire)
            assert wire.connection.close_code == 4000
            assert "reconnect" not in heard
        _, seconds = await ending(own, begun)
        assert "Traceback" not in own.log
    assert seconds < 1


async def everything(wire: Connected) -> list[str]:
    """The types of what the server says up to the end."""
    heard: list[str] = []
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                heard.append(json.loads(await wire.connection.recv())["type"])
    return heard


PATIENT = {"APP_DRAIN_SECONDS": "30", "APP_GRACE_SECONDS": "40"}


async def test_a_second_interrupt_does_not_wait(tmp_path: Path, connect: Connect) -> None:
    """Neither for those who are to move, nor for a command that is being carried out."""
    with running(tmp_path, program=SLOW, **PATIENT) as own:
        ann = await connect(to=own)
        await ann.say(type="publish", channel="slow:a", data={"seconds": 10})
        await logged(own, "asleep", 1)
        own.send(signal.SIGINT)
        await ann.hear_type("reconnect")
        own.send(signal.SIGINT)
        _, seconds = await ending(own, monotonic())
    assert seconds < 2


async def test_a_second_termination_changes_nothing(tmp_path: Path, connect: Connect) -> None:
    """A worker on a terminal gets one from its parent, after the interrupt of the terminal."""
    with running(tmp_path, **PATIENT) as own:
        ann = await connect(to=own)
        own.send(signal.SIGINT)
        await ann.hear_type("reconnect")
        own.send(signal.SIGTERM)
        async with own.rest() as http:
            for _ in range(30):  # longer than uvicorn takes to notice
                await asyncio.sleep(0.01)
                assert (await http.get("/livez")).status_code == 200
        assert (await ann.ask(type="ping"))["type"] == "pong"
        await ann.connection.close()
        status, seconds = await ending(own, monotonic())
    assert seconds < 2
    assert status in (0, -signal.SIGINT)


async def test_without_clients_it_does_not_wait(tmp_path: Path) -> None:
    with running(tmp_path, **PATIENT) as own:
        own.send(signal.SIGTERM)
        status, seconds = await ending(own, monotonic())
    assert status in TERMINATED
    assert seconds < 2
