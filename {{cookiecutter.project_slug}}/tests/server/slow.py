"""The service with a feature that takes its time, and a history that says when it is closed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from pydantic import BaseModel

from app import adapters
from app.features.base import Feature
from app.history.base import Store
from app.realtime.namespaces import Namespace
from app.server import uvicorn_options
from app.settings import Limits, ServerSettings

log = structlog.stdlib.get_logger(__name__)


class Nap(BaseModel):
    """What is published to `slow:` and `stuck:`."""

    seconds: float


async def sleep(nap: Nap) -> None:
    """Take a while, and a little longer when it is interrupted."""
    log.info("asleep")
    try:
        await asyncio.sleep(nap.seconds)
    finally:
        await asyncio.sleep(0.1)
        log.info("awake")


def block(nap: Nap) -> None:
    """Take a while, in a thread that nobody can interrupt."""
    log.info("asleep")
    time.sleep(nap.seconds)


open_real_history = adapters.open_history


@asynccontextmanager
async def open_history() -> AsyncIterator[Store]:
    """The history of this service."""
    async with open_real_history() as history:
        yield history
        log.info("history closed")


adapters.open_history = open_history  # type: ignore[assignment]
adapters.FEATURES = (  # type: ignore[assignment]
    *adapters.FEATURES,
    Feature(Namespace("slow", payload=Nap), on_publish=sleep),
    Feature(Namespace("stuck", payload=Nap), on_publish=block),
)

from app.main import app  # noqa: E402 - it reads the adapters

if __name__ == "__main__":
    uvicorn.run(**uvicorn_options(ServerSettings(), Limits()) | {"app": app})
