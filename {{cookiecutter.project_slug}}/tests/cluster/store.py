"""A Redis that a test may harm: it comes back on the same port, with what it kept."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis.client import Redis

from ..service import PATIENCE

VARIABLE = "APP_REDIS_URL"


class Keeps(Enum):
    """What is still there after a kill."""

    EVERYTHING = "everything"
    """All that was acknowledged: it is on the disk by then."""
    SNAPSHOTS = "snapshots"
    """What was there when it was saved, as by default; only that the test says when."""
    NOTHING = "nothing"


class Store:
    """One server, which can be killed and frozen, and started again."""

    def __init__(self, folder: Path, keeps: Keeps) -> None:
        self.keeps = keeps
        self.url = ""
        self._folder = folder
        self._running = ExitStack()
        self._process = 0

    @property
    def settings(self) -> dict[str, str]:
        """What a service needs to know of it."""
        return {VARIABLE: self.url, "APP_REDIS_LOSSLESS": str(self.keeps is Keeps.EVERYTHING)}

    def start(self) -> None:
        """Start, on the same port as before."""
        durable, port = self.keeps is Keeps.EVERYTHING, urlsplit(self.url).port
        start = import_module("dev.services.redis").start
        server = start(self._folder, durable=durable, port=port)
        self.url = self._running.enter_context(server)[VARIABLE]
        if durable:
            self.ask("CONFIG", "SET", "appendfsync", "always")
        self._process = self.ask("INFO", "server")["process_id"]

    def stop(self) -> None:
        """End as an administrator does it."""
        self._running.close()

    def kill(self) -> None:
        """End at once, as when the machine fails."""
        os.kill(self._process, signal.SIGKILL)
        self._running.close()

    def freeze(self) -> None:
        """Answer nothing, while what is connected stays so."""
        os.kill(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on, with all that was said meanwhile."""
        os.kill(self._process, signal.SIGCONT)

    async def be_away(self, seconds: float) -> None:
        """Be killed, and start again after a while."""
        await asyncio.to_thread(self.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.start)

    async def save(self) -> None:
        """Keep what there is now, if it keeps anything by snapshots."""
        if self.keeps is Keeps.SNAPSHOTS:
            await asyncio.to_thread(self.ask, "SAVE")

    async def be_frozen(self, seconds: float) -> None:
        """Be frozen for a while."""
        self.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.thaw()

    def cut(self) -> None:
        """Cut every connection on which a node hears the others."""
        self.ask("CLIENT", "KILL", "TYPE", "pubsub")

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Let no node hear the others, nor begin to, however often it tries."""
        self.ask("ACL", "SETUSER", "default", "-subscribe")
        try:
            self.cut()
            yield
        finally:
            self.ask("ACL", "SETUSER", "default", "+subscribe")

    def ask(self, *command: str) -> Any:
        """Do something as an administrator; the answer."""
        with Redis.from_url(self.url, socket_timeout=PATIENCE) as client:
            return client.execute_command(*command)


@contextmanager
def own_store(folder: Path, keeps: Keeps = Keeps.EVERYTHING) -> Iterator[Store]:
    """A server with its data in a folder of its own.

    Services use it by `nodes(folder, **store.settings)`.
    """
    store = Store(folder / "store", keeps)
    store.start()
    try:
        yield store
    finally:
        store.stop()
