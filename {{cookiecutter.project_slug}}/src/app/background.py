"""Tasks that live as long as a scope: restarted when they fail, awaited when it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from . import metrics
from .protocol.errors import CommandError

log = structlog.stdlib.get_logger(__name__)

RESTART_SECONDS = 1.0


class Background:
    """Owns the tasks that a scope started."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        """Names of the loops that failed and do not run again yet."""
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something once; whoever awaits the task sees a failure, one unforeseen is logged."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop for as long as the scope lasts; one that fails is started again."""
        self.spawn(self._keep(name, loop))

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("background task failed", task=name)
            self.failing.add(name)
            with metrics.FAILING.track_inprogress():
                await asyncio.sleep(RESTART_SECONDS)
            self.failing.discard(name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, CommandError):
            log.error("background work failed", exc_info=error)


@asynccontextmanager
async def open_background() -> AsyncIterator[Background]:
    """A scope for tasks; leaving it cancels them, and waits."""
    background = Background()
    try:
        yield background
    finally:
        while tasks := list(background.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
