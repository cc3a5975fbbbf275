"""A user of Redis that may do what the service does, and nothing else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from redis.exceptions import ResponseError

from ..nodes import nodes
from ..service import PATIENCE, running
from .chat import carry_a_chat
from .store import Store, own_store

RIGHTS = (
    *("~app:*", "&app:*", "-@all"),
    *("+@read", "+@write", "+@connection", "+@pubsub", "+eval", "+evalsha", "-@dangerous"),
    *("+info", "+time"),
)
"""What the README says, too."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A server with such a user."""
    with own_store(tmp_path) as store:
        store.ask("ACL", "SETUSER", "service", "on", ">so much", *RIGHTS)
        yield store


def by_user(store: Store, password: str) -> str:
    """How the service knows that user."""
    return store.url.replace("//", f"//service:{password}@")


async def test_it_carries_a_chat_and_nothing_is_refused(
    tmp_path: Path, store: Store, channel: str
) -> None:
    url = by_user(store, "so%20much")
    with nodes(
        tmp_path, APP_PRESENCE_GRACE_SECONDS="0.2", APP_REDIS_URL=url, APP_REDIS_PREFIX="app"
    ) as (one, other):
        await carry_a_chat(one, other, channel)
    assert store.ask("ACL", "LOG") == []


@pytest.mark.parametrize(
    "command",
    [
        *("CONFIG GET dir", "FLUSHALL", "KEYS *", "SHUTDOWN", "ACL LIST", "SCRIPT FLUSH"),
        *("GET other", "SET other x", "PUBLISH other x", "EVAL redis.call('GET','other') 0"),
    ],
)
def test_it_may_do_nothing_else(store: Store, command: str) -> None:
    own = Store(Path(), store.keeps)
    own.url = by_user(store, "so%20much")
    with pytest.raises(ResponseError, match=r"permissions|can't access"):
        own.ask(*command.split())
    assert store.ask("PING")


async def test_a_wrong_password_is_said(tmp_path: Path, store: Store) -> None:
    """The service starts all the same: it may be right again without a restart."""
    with running(tmp_path, APP_REDIS_URL=by_user(store, "wrong")) as service:
        async with service.rest() as http:
            await degraded(http)
        assert "invalid username-password pair" in service.log
        assert "Traceback" not in service.log


async def degraded(http: httpx2.AsyncClient) -> None:
    """Wait until the service says that it does without."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await http.get("/readyz")).json()["status"] == "ready":
            await asyncio.sleep(0.01)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
