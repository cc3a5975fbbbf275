"""What the tests share: real servers, and connections to them."""

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, chdir
from functools import partial
from importlib import import_module
from typing import Protocol

import httpx2
import pytest

from .service import API_KEY, Connected, Service, running


class Connect(Protocol):
    """Opens authenticated connections: `await connect("ann")`; one name is one user."""

    async def __call__(
        self, user: str = "ann", path: str = "", *, to: Service | None = None
    ) -> Connected:
        """Connect and be welcome."""
        ...


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers that the service needs, unless the environment names others."""
    for path in sorted((config.rootpath / "dev" / "services").glob("*.py")):
        needed = import_module(f"dev.services.{path.stem}")
        if needed.VARIABLE not in os.environ:
            running = needed.start(durable=False)
            try:
                os.environ.update(running.__enter__())
            except RuntimeError as missing:
                pytest.exit(str(missing), returncode=1)
            config.add_cleanup(partial(running.__exit__, None, None, None))


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in a folder of their own: the project's `.env` is for whoever runs the service."""
    with chdir(tmp_path_factory.mktemp("elsewhere")):
        yield


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The server that most tests share; each uses channels of its own."""
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose limits a test can reach."""
    with running(
        tmp_path_factory.mktemp("small"),
        APP_CHANNELS_PER_CONNECTION="3",
        APP_HEARTBEAT_SECONDS="0.5",
        APP_HISTORY_LENGTH="10",
        APP_HISTORY_PAGE="4",
        APP_MAX_MESSAGE_BYTES="4096",
        APP_PRESENCE_GRACE_SECONDS="0.5",
        APP_RECOVERY_LIMIT="20",
        APP_SWEEP_SECONDS="0.2",
    ) as service:
        yield service


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for real users, with what it must have and nothing else."""
    with running(
        tmp_path_factory.mktemp("production"),
        APP_ALLOWED_ORIGINS="https://app.example.com",
        APP_API_KEY=None,
        APP_ENVIRONMENT="production",
        APP_JWT_SECRET="a secret of 32 characters or more",
        APP_LOG_FORMAT=None,
    ) as service:
        yield service


@pytest.fixture
def calm(service: Service) -> Iterator[None]:
    """Nothing that a test does makes the shared server log a traceback."""
    before = len(service.log)
    yield
    assert "Traceback" not in service.log[before:]


@pytest.fixture
async def connect(service: Service, calm: None) -> AsyncIterator[Connect]:
    """Open authenticated connections, `await connect(user)`, that end with the test."""
    async with AsyncExitStack() as stack:

        async def open_connection(
            user: str = "ann", path: str = "", *, to: Service | None = None
        ) -> Connected:
            wire = await Connected.open(to or service, user, path)
            stack.push_async_callback(wire.connection.close)
            return wire

        yield open_connection


@pytest.fixture
async def server_side(service: Service, calm: None) -> AsyncIterator[httpx2.AsyncClient]:
    """REST as another server of yours uses it, with the API key."""
    async with service.rest({"X-API-Key": API_KEY}) as http:
        yield http


@pytest.fixture
async def visitor(service: Service, calm: None) -> AsyncIterator[httpx2.AsyncClient]:
    """REST without any credential."""
    async with service.rest() as http:
        yield http


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A room that no other test uses."""
    return f"chat:{re.sub('[^a-z0-9_]+', '.', request.node.name)[:100]}"
