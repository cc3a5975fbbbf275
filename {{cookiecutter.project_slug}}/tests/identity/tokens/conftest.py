"""Servers that take tokens of an identity provider: by a secret, a public key, or a set of keys."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ...auth.provider import Provider, SigningKey, providing
from ...service import Service, Wire, running
from ..conftest import PROGRAM
from ..entry import enter
from .issuer import AUDIENCE, ISSUER, Issuer, signing

Enter = Callable[..., Awaitable[Wire]]
"""Opens a connection: `await enter(token)`; it ends with the test."""

FOR_US = {"APP_JWT_ISSUER": ISSUER, "APP_JWT_AUDIENCE": AUDIENCE}
SECRET = "a secret of 32 characters or more"
PROVIDER = Issuer(SECRET)
"""The identity provider of most tests."""


@dataclass(frozen=True)
class Trust:
    """A server, and the identity provider that it believes."""

    service: Service
    issuer: Issuer
    provider: Provider | None = None


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that shares a secret with the identity provider, with channels for staff only.

    It does not find by looking around later what it was told at once.
    """
    with running(
        tmp_path_factory.mktemp("secured"),
        program=PROGRAM,
        APP_JWT_SECRET=SECRET,
        APP_PRESENCE_GRACE_SECONDS="0",
        APP_SWEEP_SECONDS="3600",
        **FOR_US,
    ) as service:
        service.claims = {"iss": ISSUER, "aud": AUDIENCE}
        yield service


@pytest.fixture(scope="session")
def by_secret(secured: Service) -> Trust:
    """Trust by a secret."""
    return Trust(secured, PROVIDER)


@pytest.fixture(scope="session")
def by_rsa_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """Trust by a public key, of RSA."""
    with _trusting(tmp_path_factory.mktemp("rsa-key"), signing("first")) as trust:
        yield trust


@pytest.fixture(scope="session")
def by_curve_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """Trust by a public key, on a curve."""
    with _trusting(tmp_path_factory.mktemp("curve-key"), signing("curve", "ES256")) as trust:
        yield trust


@contextmanager
def _trusting(folder: Path, key: SigningKey) -> Iterator[Trust]:
    with running(folder, APP_JWT_PUBLIC_KEY=key.public, **FOR_US) as service:
        yield Trust(service, Issuer(key.private, key.algorithm, public=key.public))


@pytest.fixture(scope="session")
def by_key_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """Trust by the keys at a URL."""
    first, others = signing("first"), (signing("second"), signing("curve", "ES256"))
    with (
        providing(first, *others) as provider,
        running(
            tmp_path_factory.mktemp("key-set"), APP_JWT_JWKS_URL=provider.url, **FOR_US
        ) as service,
    ):
        issuer = Issuer(first.private, "RS256", {"kid": "first"}, first.public)
        yield Trust(service, issuer, provider)


@pytest.fixture
def quiet(secured: Service) -> Iterator[None]:
    """Nothing that a test does makes the server log a traceback."""
    before = len(secured.log)
    yield
    assert "Traceback" not in secured.log[before:]


@pytest.fixture
async def come(secured: Service, quiet: None) -> AsyncIterator[Enter]:
    """Open connections with tokens, `await come(token)`, that end with the test."""
    async with AsyncExitStack() as stack:

        async def open_connection(token: str) -> Wire:
            wire = await enter(secured, token)
            stack.push_async_callback(wire.connection.close)
            return wire

        yield open_connection
