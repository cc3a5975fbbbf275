"""What becomes of a command, whatever Redis and the network do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from time import monotonic
from urllib.parse import urlsplit

import pytest
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from app.protocol.errors import Unavailable
from app.redis import RedisClient, Script, open_redis
from app.redis.client import MOST_AT_ONCE

from ..cluster.proxy import proxy
from ..cluster.store import Store
from .conftest import SECONDS, of_user, settings

SOON = 5.0
LITTLE = 0.5
"""How much longer anything may take, on a busy machine."""

APPEND = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SOON):
        while not true():
            await asyncio.sleep(0.01)


async def healed(client: RedisClient) -> None:
    """Wait until commands are carried out again."""
    async with asyncio.timeout(SOON):
        while await is_refused(client.ask("PING")):
            await asyncio.sleep(0.01)


async def is_refused(asked: Awaitable[object]) -> bool:
    """Whether something is unavailable."""
    try:
        await asked
    except Unavailable:
        return True
    return False


async def refused(*asked: Awaitable[object], within: float) -> None:
    """All of these are refused, in bounded time."""
    began = monotonic()
    async with asyncio.timeout(SOON):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert monotonic() - began < within + LITTLE


# what is carried out


async def test_answers_belong_to_their_commands_however_many_there_are(client: RedisClient) -> None:
    many = 3 * MOST_AT_ONCE + 7
    asked = [client.ask("RPUSH", "list", number) for number in range(many)]
    assert await asyncio.gather(*asked) == list(range(1, many + 1))
    said: list[bytes] = await client.ask("LRANGE", "list", 0, -1)
    assert said == [b"%d" % number for number in range(many)]


async def test_any_word_arrives_as_it_is(client: RedisClient) -> None:
    for word in ("", "two words", "ünïcödé ☃", b"\r\n\x00\xff", "x" * 1_000_000, 1.5, -3):
        await client.ask("SET", "key", word)
        expected = word if isinstance(word, bytes) else str(word).encode()
        assert await client.ask("GET", "key") == expected


async def test_order_is_kept_between_scripts_that_are_new_and_commands(client: RedisClient) -> None:
    script = Script(f"{APPEND.text} -- as good as new")
    for number in range(3):
        asked = [
            client.run(script, ("list",), f"a{number}"),
            client.ask("RPUSH", "list", f"b{number}"),
            client.run(script, ("list",), f"c{number}"),
        ]
        assert await asyncio.gather(*asked) == [3 * number + each for each in (1, 2, 3)]
    expected = [f"{each}{number}".encode() for number in range(3) for each in "abc"]
    assert await client.ask("LRANGE", "list", 0, -1) == expected


async def test_scripts_that_somebody_made_redis_forget_are_sent_again(
    client: RedisClient, store: Store
) -> None:
    await client.run(APPEND, ("list",), "a")
    store.ask("SCRIPT", "FLUSH")
    asked = [client.run(APPEND, ("list",), each) for each in "bc"]
    assert await asyncio.gather(*asked) == [2, 3]
    assert await client.ask("LRANGE", "list", 0, -1) == [b"a", b"b", b"c"]


# what is refused


async def test_a_mistake_is_told_to_who_made_it_and_to_nobody_else(client: RedisClient) -> None:
    await client.ask("SET", "text", "x")
    with capture_logs() as logs:
        asked = [
            client.ask("RPUSH", "text", "y"),
            client.ask("GET", "text"),
            client.run(Script("return nothing.at.all"), ()),
            client.run(APPEND, ("text",), "y"),
            client.ask("PING"),
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    kinds = [type(answer) for answer in answers]
    assert kinds == [ResponseError, bytes, ResponseError, ResponseError, bytes]
    assert "WRONGTYPE" in str(answers[0])
    assert "WRONGTYPE" in str(answers[3])
    assert logs == []


async def test_what_redis_does_not_do_now_is_unavailable_and_told_once_per_kind(
    client: RedisClient, store: Store
) -> None:
    await client.ask("SET", "text", "x")
    store.ask("CONFIG", "SET", "maxmemory", "1")
    with capture_logs() as logs:
        for _ in range(3):
            await refused(client.ask("SET", "a", "b"), client.run(APPEND, ("l",), "x"), within=0)
        assert await client.ask("GET", "text") == b"x"
    assert [each["kind"] for each in logs] == ["OOM"]
    assert not client.away
    store.ask("CONFIG", "SET", "maxmemory", "0")
    assert await client.ask("SET", "a", "b") == b"OK"


async def test_what_a_user_may_not_do_is_unavailable_and_the_rest_is_done(store: Store) -> None:
    store.ask("ACL", "SETUSER", "some", "on", ">canary/@", "~*", "+@all", "-set", "-info")
    async with open_redis(settings(of_user(store, "some"))) as client:
        with capture_logs() as logs:
            await refused(client.ask("SET", "a", "b"), client.ask("SET", "a", "c"), within=0)
            assert await client.ask("GET", "a") is None
    assert [each["kind"] for each in logs] == ["NOPERM"]


async def test_a_server_that_runs_something_for_long_is_waited_for(
    client: RedisClient, store: Store
) -> None:
    store.ask("CONFIG", "SET", "busy-reply-threshold", "1")
    async with open_redis(settings(store.url, 5)) as other:
        await other.ask("PING")
        endless = other.run(Script("while true do end"), ())
        async with asyncio.timeout(SOON):
            while not await is_refused(client.ask("GET", "a")):
                await asyncio.sleep(0.01)
        await refused(client.ask("GET", "a"), within=SECONDS)
        store.ask("SCRIPT", "KILL")
        with pytest.raises(ResponseError, match="killed by user"):
            await endless
    assert await client.ask("GET", "a") is None


@pytest.mark.parametrize("url", ["wrong", "nobody"])
async def test_who_is_not_let_in_is_refused_and_the_password_is_told_to_nobody(
    store: Store, url: str
) -> None:
    store.ask("ACL", "SETUSER", "default", "resetpass", ">another")
    port = urlsplit(store.url).port
    address = of_user(store, "default") if url == "wrong" else f"redis://127.0.0.1:{port}"
    with capture_logs() as logs:
        async with open_redis(settings(address)) as client:
            await refused(client.ask("PING"), client.ask("PING"), within=SECONDS)
            assert client.away
            await refused(client.ask("PING"), within=0)
    (line,) = logs
    assert line["event"] == "no connection"
    assert "canary" not in str(logs)
    store.url = f"redis://:another@127.0.0.1:{port}/0"
    store.ask("ACL", "SETUSER", "default", "nopass")


# what is lost


async def test_a_command_is_never_sent_twice(store: Store) -> None:
    """Nobody knows whether it was carried out; here it was."""
    async with AsyncExitStack() as stack:
        between = await stack.enter_async_context(proxy(urlsplit(store.url).port or 0))
        address = f"redis://127.0.0.1:{between.port}"
        client = await stack.enter_async_context(open_redis(settings(address)))
        await client.ask("PING")
        between.swallow = True
        await refused(client.ask("INCR", "a"), client.ask("INCR", "a"), within=SECONDS)
        between.swallow = False
        await healed(client)
        asked = client.ask("INCR", "a")
        await asyncio.sleep(0)
        between.cut()
        await asyncio.gather(asked, return_exceptions=True)
        await healed(client)
        assert int(await client.ask("GET", "a")) <= 3


async def test_a_connection_that_redis_ended_while_nothing_was_asked_costs_nothing(
    client: RedisClient, store: Store
) -> None:
    for _ in range(3):
        await client.ask("PING")
        store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.05)
        assert await client.ask("PING") == b"PONG"


async def test_a_server_that_is_killed_is_said_to_be_away_and_to_be_back_once(
    client: RedisClient, store: Store
) -> None:
    await client.ask("PING")
    with capture_logs() as logs:
        await asyncio.to_thread(store.kill)
        await refused(*(client.ask("INCR", "a") for _ in range(1000)), within=SECONDS)
        await until(lambda: client.away)
        for _ in range(20):
            await refused(client.ask("PING"), within=0)
            await asyncio.sleep(0.01)
        await asyncio.to_thread(store.start)
        await healed(client)
    assert [each["event"] for each in logs] == ["no connection", "connected again"]


async def test_a_frozen_server_is_away_after_the_time_there_is(
    client: RedisClient, store: Store
) -> None:
    await client.ask("PING")
    store.freeze()
    try:
        first = client.ask("INCR", "a")
        await asyncio.sleep(SECONDS / 2)
        second = client.ask("INCR", "a")
        await refused(first, within=SECONDS / 2)
        assert client.away
        await refused(second, within=0)
        await refused(client.ask("PING"), within=0)
    finally:
        store.thaw()
    await healed(client)


async def test_what_waits_for_too_long_behind_others_is_refused_and_not_sent(store: Store) -> None:
    """Each round trip is in time, but not the last of many."""
    async with AsyncExitStack() as stack:
        between = await stack.enter_async_context(proxy(urlsplit(store.url).port or 0))
        address = f"redis://127.0.0.1:{between.port}"
        async with open_redis(settings(address)) as client:
            await client.ask("PING")
            between.delay = 0.2
            asked = [client.ask("INCR", "a") for _ in range(3 * MOST_AT_ONCE)]
            began = monotonic()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert monotonic() - began < 2 * SECONDS + LITTLE
            done = [each for each in answers if not isinstance(each, Unavailable)]
            assert done == list(range(1, len(done) + 1))
            assert 0 < len(done) < len(asked)
            between.delay = 0.0
            assert int(await client.ask("GET", "a")) == len(done)
            assert not client.away


async def test_a_master_that_is_one_no_more_is_left(client: RedisClient, store: Store) -> None:
    await client.ask("SET", "a", "1")
    store.ask("REPLICAOF", "127.0.0.1", "1")
    with capture_logs() as logs:
        await refused(client.ask("SET", "a", "2"), within=0)
        await until(lambda: client.away)
        await asyncio.sleep(0.3)
        assert client.away
        store.ask("REPLICAOF", "NO", "ONE")
        await healed(client)
    assert await client.ask("GET", "a") == b"1"
    assert [each["event"] for each in logs] == [
        "redis refuses commands",
        "no connection",
        "connected again",
    ]


async def test_a_client_that_begins_before_redis_is_ready_as_soon_as_it_is_there(
    store: Store,
) -> None:
    await asyncio.to_thread(store.kill)
    async with open_redis(settings(store.url)) as client:
        await refused(client.ask("PING"), within=SECONDS)
        assert client.away
        await asyncio.to_thread(store.start)
        await healed(client)


async def test_a_server_that_says_nothing_is_away_from_the_start(store: Store) -> None:
    store.freeze()
    async with open_redis(settings(store.url)) as client:
        try:
            await refused(client.ask("PING"), within=SECONDS)
            assert client.away
        finally:
            store.thaw()
        await healed(client)


async def test_connections_that_end_at_once_are_not_opened_without_end(store: Store) -> None:
    opened = 0

    async def connect() -> None:
        nonlocal opened
        opened += 1
        raise ConnectionResetError("planted")

    async with AsyncExitStack() as stack:
        client = RedisClient(connect, "test", SECONDS)  # type: ignore[arg-type]
        task = asyncio.create_task(client.carry())
        stack.callback(task.cancel)
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert 3 <= opened <= 30


# the end


async def test_what_was_not_foreseen_is_told_once_and_nobody_waits_for_ever(store: Store) -> None:
    async def connect() -> None:
        raise RuntimeError("planted")

    client = RedisClient(connect, "test", SECONDS)  # type: ignore[arg-type]
    asked = client.ask("PING")
    with pytest.raises(RuntimeError, match="planted"):
        await client.carry()
    await refused(asked, client.ask("PING"), within=0)


@pytest.mark.parametrize("state", ["idle", "connecting", "asking", "pausing", "at once"])
async def test_the_end_of_the_scope_is_at_once_in_any_state(store: Store, state: str) -> None:
    async with AsyncExitStack() as stack:
        between = await stack.enter_async_context(proxy(urlsplit(store.url).port or 0))
        address = f"redis://127.0.0.1:{between.port}"
        between.half_open, between.refuse = state == "connecting", state == "pausing"
        async with open_redis(settings(address, 60)) as client:
            asked = client.ask("PING")
            if state in ("idle", "asking"):
                await asked
            if state == "asking":
                between.half_open = True
                asked = client.ask("PING")
            if state != "at once":
                await asyncio.sleep(0.1)
            began = monotonic()
        assert monotonic() - began < 0.2
        if state != "idle":
            await refused(asked, within=0)
        await refused(client.ask("PING"), within=0)
        between.half_open = False
