"""What SIGTERM and SIGINT do: the service takes its leave first, then uvicorn ends the process."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from types import FrameType
from typing import Any

from uvicorn.server import HANDLED_SIGNALS, Server

Leave = Callable[[], Coroutine[Any, Any, None]]
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Departure:
    """Takes the signals of one server: the first begins to leave; when that is done uvicorn has it.

    A second SIGINT does not wait for that. A second SIGTERM changes nothing: with workers on a
    terminal, each gets one from its parent besides the SIGINT of the terminal.
    """

    def __init__(self, server: Server, leave: Leave, spawn: Spawn) -> None:
        self._server = server
        self._leave = leave
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._first: int | None = None
        self._over = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal, between any two instructions of the main thread."""
        if self._over:
            self._server.handle_exit(number, frame)
        elif self._first is None:
            self._first = number
            self._loop.call_soon_threadsafe(self._begin, number)
        elif number == signal.SIGINT:
            self._finish(self._first)
            self._server.handle_exit(number, frame)

    def _begin(self, number: int) -> None:
        self._spawn(self._run(number))

    async def _run(self, number: int) -> None:
        try:
            await self._leave()
        finally:
            self._finish(number)

    def _finish(self, number: int) -> None:
        if not self._over:
            self._over = True
            self._server.handle_exit(number, None)


@contextmanager
def departing(leave: Leave, spawn: Spawn, most: float) -> Iterator[None]:
    """In this scope uvicorn gets its signals after `leave`, then waits for `most` seconds at most.

    Where the signals are not uvicorn's, as under other servers and in tests, nothing changes.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if threading.current_thread() is not threading.main_thread() or not isinstance(server, Server):
        yield
        return
    if server.config.timeout_graceful_shutdown is None:
        # uvicorn asks for a whole number, and hands it to asyncio.wait_for.
        server.config.timeout_graceful_shutdown = most  # type: ignore[assignment]
    departure = Departure(server, leave, spawn)
    before = {each: signal.signal(each, departure.handle) for each in HANDLED_SIGNALS}
    if parent := parent_process():
        following = (parent.join, asyncio.get_running_loop())
        threading.Thread(target=_follow, args=following, daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) == departure.handle:
                signal.signal(number, handler)


def _follow(gone: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
    """Leave when the process that started this worker is gone: else it would keep the port."""
    gone()
    with suppress(RuntimeError):  # The loop is closed, so this process ends anyway.
        loop.call_soon_threadsafe(signal.raise_signal, signal.SIGTERM)
