"""Which servers are taken, and how often it is tried."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from app.redis import connector
from app.redis.connecting import QUIET_SECONDS, RETRY_SECONDS, Attempts

from .conftest import settings


@asynccontextmanager
async def saying(known: dict[str, str], times: int = 1) -> AsyncIterator[str]:
    """A server that says this of itself, and nothing else."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(4096):
            for command in data.split(b"*")[1:]:
                said = "\r\n".join(f"{name}:{value}" for name, value in known.items()).encode()
                is_asked = b"INFO" in command and b"SETINFO" not in command
                writer.write(b"$%d\r\n%b\r\n" % (len(said), said) if is_asked else b"+OK\r\n")
        writer.close()
        over.release()

    over = asyncio.Semaphore(0)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for _ in range(times):
        await over.acquire()


@pytest.mark.parametrize(
    ("version", "is_said"), [("6.2.14", True), ("7.0.0", False), ("7.2.4", False), ("10.0", False)]
)
async def test_a_server_that_is_too_old_is_named_once(version: str, is_said: bool) -> None:
    async with saying({"redis_version": version, "role": "master"}, times=2) as url:
        with capture_logs() as logs:
            for _ in range(2):
                await (await connector(settings(url))()).disconnect(nowait=True)
    expected = {"event": "redis is too old", "log_level": "error", "version": version, "needed": 7}
    assert logs == [expected] * is_said


@pytest.mark.parametrize("known", [{"role": "slave"}, {"role": "master", "loading": "1"}])
async def test_a_server_that_takes_no_writes_is_not_used(known: dict[str, str]) -> None:
    async with saying({"redis_version": "7.2.4", **known}) as url:
        with pytest.raises(RedisError, match=r"replica|loading"):
            await connector(settings(url))()


async def test_pauses_grow_to_a_bound_and_begin_anew_after_a_connection_that_lasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("app.redis.connecting.uniform", lambda _, most: most)
    monkeypatch.setattr("app.redis.connecting.monotonic", lambda: now)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))

    monkeypatch.setattr("app.redis.connecting.asyncio.sleep", sleep)
    attempts = Attempts("redis")
    for _ in range(7):
        await attempts.pause()
        attempts.failed(OSError())
    assert pauses == [0, 0.05, 0.15, 0.35, 0.75, RETRY_SECONDS, RETRY_SECONDS]
    for lasted, next_pause in ((0.01, RETRY_SECONDS), (0.19, 0), (0.01, 0.05)):
        attempts.worked()
        now += lasted
        attempts.failed(OSError())
        await attempts.pause()
        assert pauses[-1] == next_pause


def test_a_connection_that_comes_and_goes_is_told_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, attempts = 0.0, Attempts("redis")
    monkeypatch.setattr("app.redis.connecting.monotonic", lambda: now)
    with capture_logs() as logs:
        for _ in range(100):
            attempts.failed(OSError("planted"))
            attempts.worked()
            now += 2 * QUIET_SECONDS / 100
    assert [each["event"] for each in logs] == ["no connection", "connected again"] * 2
