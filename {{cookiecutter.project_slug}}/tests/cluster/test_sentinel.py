"""A Redis whose Sentinels make another server the master: the service goes on with that one."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from socket import socket
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.exceptions import ConnectionError

from ..databases import OUTLIVES
from ..nodes import history, nodes
from ..service import PATIENCE, Connected, Service
from ..shapes import Frame
from .chat import hear_each_other, meet
from .store import Keeps, Store, own_store

COUNT, NAME = 3, "main"
HASTE = ("info-period", "200", "publish-period", "200", "ping-period", "200")
"""How often, in milliseconds, Sentinels look; by themselves every 10 seconds, 2 and 1."""
CONFIGURATION = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 5000
"""


class Guarded:
    """Two servers, one of which follows the other, and three Sentinels that watch over them."""

    def __init__(self, stores: tuple[Store, Store], sentinels: list[Store]) -> None:
        self.stores = stores
        self.sentinels = sentinels
        hosts = ",".join(urlsplit(each.url).netloc for each in sentinels)
        self.url = f"redis+sentinel://{hosts}/{NAME}/0"

    @property
    def master(self) -> Store:
        """Which of the servers the Sentinels send everybody to."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        (found,) = [each for each in self.stores if urlsplit(each.url).port == int(port)]
        return found

    def wait_until_guarded(self) -> None:
        """Return once the Sentinels know each other and the other server, which has all data."""
        wait_until(lambda: all(map(self._knows_all, self.sentinels)))
        wait_until(lambda: self.master.ask("WAIT", "1", "100") == 1)

    def _knows_all(self, sentinel: Store) -> bool:
        known = pairs(sentinel.ask("SENTINEL", "MASTER", NAME))
        return (known["num-slaves"], known["num-other-sentinels"]) == ("1", str(COUNT - 1))


def pairs(said: Any) -> dict[str, str]:
    """What Redis says as names and values, in any of its ways."""
    if isinstance(said, dict):
        return {_text(name): _text(value) for name, value in said.items()}
    words = list(map(_text, said))
    return dict(zip(words[::2], words[1::2], strict=True))


def _text(said: Any) -> str:
    return said.decode() if isinstance(said, bytes) else str(said)


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Look until it is so."""
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end
        sleep(0.02)


@contextmanager
def sentinel(folder: Path, program: str, master: int) -> Iterator[Store]:
    """One that watches a master."""
    folder.mkdir()
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    written = CONFIGURATION.format(port=port, folder=folder, master=master, name=NAME)
    (folder / "sentinel.conf").write_text(written)
    with (folder / "log").open("wb") as log:
        command = [program, str(folder / "sentinel.conf"), "--sentinel"]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        found = Store(folder, Keeps.NOTHING)
        found.url = f"redis://127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or role(found) == "sentinel")
        assert process.poll() is None, (folder / "log").read_text()
        found.ask("SENTINEL", "DEBUG", *HASTE)
        yield found
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """All of them, of one mind."""
    with ExitStack() as stack:
        one = stack.enter_context(own_store(tmp_path / "one"))
        other = stack.enter_context(own_store(tmp_path / "other"))
        for each in (one, other):
            # Neither wait for more replicas, nor for this one at the end.
            each.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0", "shutdown-timeout", "0")
        master = urlsplit(one.url).port
        assert master is not None
        other.ask("REPLICAOF", "127.0.0.1", str(master))
        program = _text(one.ask("INFO", "server")["executable"])
        sentinels = [
            stack.enter_context(sentinel(tmp_path / f"sentinel-{number}", program, master))
            for number in range(COUNT)
        ]
        guarded = Guarded((one, other), sentinels)
        guarded.wait_until_guarded()
        yield guarded


async def published(wire: Connected, channel: str, key: str) -> Frame:
    """What is answered once it was kept: who hears `unavailable` says it again, by its key."""
    async with asyncio.timeout(PATIENCE):
        while True:
            said = {"type": "publish", "channel": channel, "data": {"text": key}, "key": key}
            answer = await wire.ask(**said)
            if answer["type"] == "ok":
                return answer
            assert answer["code"] == "unavailable"
            await asyncio.sleep(0.02)


async def test_when_the_master_is_killed_nodes_go_on_with_the_other_server(
    tmp_path: Path, guarded: Guarded, channel: str
) -> None:
    """What was said is there, or a new epoch says that it may not be."""
    with nodes(tmp_path, APP_REDIS_URL=guarded.url, APP_SWEEP_SECONDS="0.5") as services:
        async with AsyncExitStack() as stack:
            wires = ann, bob = await meet(stack, *services)
            for wire in wires:
                await wire.ask(type="subscribe", channel=channel)
            await hear_each_other(wires, channel)
            before = await published(ann, channel, "before")
            await bob.hear_type("message")
            guarded.master.ask("WAIT", "1", "1000")
            master, begun = guarded.master, monotonic()
            await asyncio.to_thread(master.kill)
            first = await published(ann, channel, "first")
            stored = monotonic() - begun
            await asyncio.to_thread(wait_until, lambda: guarded.master is not master)
            chosen = monotonic() - begun
            after = await published(ann, channel, "after")
            seen = await seen_up_to(bob, after)
            heard = monotonic() - begun
            print(f"stored {stored:.2f} s, chosen {chosen:.2f} s, heard {heard:.2f} s")  # noqa: T201
            kept = [each["key"] for each in await history(services[1], channel) if "key" in each]
            assert kept == ["before", "first", "after"]
            if OUTLIVES:
                assert before["epoch"] == after["epoch"]
                assert [each.get("key") for each in seen] == ["first", "after"]
            else:
                assert before["epoch"] != first["epoch"] == after["epoch"]
                assert "epoch_changed" in [each.get("reason") for each in seen]
            await ready(services)
        assert all("Traceback" not in each.log for each in services)


async def seen_up_to(wire: Connected, last: Frame) -> list[Frame]:
    """What is heard up to a position: messages, or that the subscription stands somewhere else."""
    seen = [await wire.hear()]
    while (seen[-1].get("epoch"), seen[-1].get("offset")) != (last["epoch"], last["offset"]):
        seen.append(await wire.hear())
    return seen


async def ready(services: list[Service]) -> None:
    """Wait until all say that they are."""
    async with asyncio.timeout(PATIENCE):
        for service in services:
            async with service.rest() as http:
                while (await http.get("/readyz")).json()["status"] != "ready":
                    await asyncio.sleep(0.02)


@pytest.mark.long  # Sentinels look for some twenty seconds before they make it one.
async def test_a_master_that_becomes_a_replica_is_left_for_the_new_one(
    tmp_path: Path, guarded: Guarded, channel: str
) -> None:
    """As for maintenance: it still answers, but takes no writes."""
    with nodes(tmp_path, APP_REDIS_URL=guarded.url, APP_SWEEP_SECONDS="0.5") as services:
        async with AsyncExitStack() as stack:
            wires = ann, bob = await meet(stack, *services)
            for wire in wires:
                await wire.ask(type="subscribe", channel=channel)
            await hear_each_other(wires, channel)
            master = guarded.master
            guarded.sentinels[0].ask("SENTINEL", "FAILOVER", NAME)
            await asyncio.to_thread(wait_until, lambda: guarded.master is not master)
            await asyncio.to_thread(wait_until, lambda: role(master) == "slave", 60)
            last = await published(ann, channel, "last")
            assert (await seen_up_to(bob, last))[-1]["epoch"] == last["epoch"]
            await ready(services)
        assert all("Traceback" not in each.log for each in services)


def role(store: Store) -> str:
    """What a server says that it is, where it says anything."""
    try:
        return _text(store.ask("ROLE")[0])
    except ConnectionError:
        return ""
