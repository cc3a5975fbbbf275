"""The stage for the tests of the client."""

from collections.abc import AsyncIterator

import pytest

from .manual_clock import ManualClock
from .scene import Scene
from .scripted import ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().listening() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def scene(server: ScriptedServer, clock: ManualClock) -> Scene:
    return Scene(server, clock)
