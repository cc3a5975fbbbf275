"""What the tests share: one real server, and connections to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import httpx2
import pytest

from .service import API_KEY, Connected, Service, running

Connect = Callable[..., Awaitable[Connected]]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The server that most tests share; each uses channels of its own."""
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
async def connect(service: Service) -> AsyncIterator[Connect]:
    """Open authenticated connections, `await connect(user)`, that end with the test."""
    async with AsyncExitStack() as stack:

        async def open_connection(user: str = "ann", path: str = "") -> Connected:
            wire = await Connected.open(service, user, path)
            stack.push_async_callback(wire.connection.close)
            return wire

        yield open_connection


@pytest.fixture
async def server_side(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """REST as another server of yours uses it, with the API key."""
    headers = {"X-API-Key": API_KEY}
    async with httpx2.AsyncClient(base_url=service.http, headers=headers) as http:
        yield http


@pytest.fixture
async def visitor(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """REST without any credential."""
    async with httpx2.AsyncClient(base_url=service.http) as http:
        yield http


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A room that no other test uses."""
    return f"chat:{request.node.name[:100]}".replace("[", ".").replace("]", "")
