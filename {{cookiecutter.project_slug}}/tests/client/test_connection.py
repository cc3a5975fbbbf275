"""One connection, on a real socket: replies, pushes, silence and the end."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from client.connection import Connection, open_connection
from client.errors import CommandRefused, ConnectionLost

from .manual_clock import ManualClock
from .scripted import Peer, ScriptedServer, both, soon


class Stage:
    """Opens connections and keeps what they push."""

    def __init__(self, server: ScriptedServer, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.pushes: list[dict[str, Any]] = []

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[tuple[Connection, Peer]]:
        connection, peer = await both(self.open(**options), self.server.accepts())
        running = asyncio.create_task(connection.run())
        yield connection, peer
        await connection.close()
        await soon(running)

    async def open(self, **options: Any) -> Connection:
        options = {"proxy": None} | options
        return await open_connection(
            self.server.url, {"X-Who": "ann"}, options, self._receive, self.clock
        )

    def _receive(self, connection: Connection, frame: dict[str, Any]) -> None:
        self.pushes.append(frame)


@pytest.fixture
def stage(server: ScriptedServer, clock: ManualClock) -> Stage:
    return Stage(server, clock)


async def test_replies_find_their_commands_in_any_order(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):

        async def script() -> None:
            first = await peer.hears("presence", channel="chat:a")
            second = await peer.hears("presence", channel="chat:b")
            await peer.answers(second, "presence", count=2)
            await peer.answers(first, "presence", count=1)

        replies = asyncio.gather(
            connection.command("presence", channel="chat:a"),
            connection.command("presence", channel="chat:b"),
        )
        (one, two), _ = await both(replies, script())
        assert (one["count"], two["count"]) == (1, 2)


async def test_a_reply_to_nobody_is_passed_over(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.says("ok", id=99)
        await peer.says("ok", id="other")
        command = asyncio.create_task(connection.command("ping"))
        await peer.answers(await peer.hears("ping"), "pong")
        assert (await soon(command))["type"] == "pong"


async def test_a_reply_that_comes_twice_counts_once(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        command = asyncio.create_task(connection.command("ping"))
        heard = await peer.hears("ping")
        for _ in range(2):
            await peer.answers(heard, "pong")
        assert (await soon(command))["type"] == "pong"
        await both(connection.send("ping"), peer.hears("ping"))


async def test_a_refusal_is_raised_with_all_that_was_said(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        command = asyncio.create_task(connection.command("publish"))
        heard = await peer.hears("publish")
        await peer.refuses(heard, "rate_limited", retryable=True, retry_after_ms=1500)
        with pytest.raises(CommandRefused, match="rate_limited: no") as refused:
            await soon(command)
        assert (refused.value.retryable, refused.value.retry_after) == (True, 1.5)


async def test_pushes_are_handed_on_in_order(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        for offset in range(3):
            await peer.publishes(offset)
        await peer.closes(1000)
        with pytest.raises(ConnectionLost):
            await soon(connection.departure)
    assert [push["offset"] for push in stage.pushes] == [0, 1, 2]


async def test_a_ping_is_answered(stage: Stage) -> None:
    async with stage.opened() as (_, peer):
        await peer.says("ping")
        await peer.hears("pong")


async def test_a_ping_just_before_the_end_hides_no_reason(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.says("ping")
        await peer.closes(4001, "slow consumer")
        with pytest.raises(ConnectionLost, match="4001 slow consumer"):
            await soon(connection.departure)


async def test_the_beats_of_the_server_are_watched_instead_of_pings_of_ours(stage: Stage) -> None:
    async with stage.opened() as (connection, _):
        assert connection._socket.ping_interval is None


async def test_silence_beyond_interval_and_timeout_is_death(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.welcomes()
        await soon(connection.greeting)
        stage.clock.advance(35)
        with pytest.raises(ConnectionLost) as lost:
            await soon(connection.departure)
        assert lost.value.code == 1006


async def test_a_server_that_speaks_is_alive(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.welcomes()
        await soon(connection.greeting)
        for _ in range(5):
            stage.clock.advance(34.9)
            await peer.says("ping")
            await peer.hears("pong")
        assert connection.lost is None


async def test_a_server_that_never_welcomes_is_given_up(stage: Stage) -> None:
    async with stage.opened() as (connection, _):
        await stage.clock.passes(10)
        with pytest.raises(ConnectionLost):
            await soon(connection.greeting)


async def test_who_waits_is_told_why_the_connection_ended(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        command = asyncio.create_task(connection.command("ping"))
        await peer.hears("ping")
        await peer.closes(4001, "slow consumer")
        for waiting in (command, connection.departure, connection.greeting):
            with pytest.raises(ConnectionLost, match="4001 slow consumer"):
                await soon(waiting)
        with pytest.raises(ConnectionLost, match="4001 slow consumer"):
            await soon(connection.command("ping"))


async def test_a_cut_without_a_word_is_1006(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        peer.cuts()
        with pytest.raises(ConnectionLost) as lost:
            await soon(connection.departure)
        assert lost.value.code == 1006


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", "{}", '{"type":"welcome"}', '{"type":"error","id":1}', '"text"', b"\xff"],
)
async def test_a_server_that_speaks_something_else_is_left_for_good(
    stage: Stage, text: str | bytes
) -> None:
    async with stage.opened() as (connection, peer):
        command = asyncio.create_task(connection.command("ping"))
        await peer.hears("ping")
        await peer.says_raw(text)
        with pytest.raises(ConnectionLost, match="does not speak our protocol") as lost:
            await soon(command)
        assert lost.value.final
        with pytest.raises(ConnectionLost, match="does not speak our protocol"):
            await soon(connection.command("ping"))


async def test_frames_and_fields_to_come_are_passed_over(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.says("novelty", channel="chat:a", field=1)
        await peer.welcomes(field=1)
        assert (await soon(connection.greeting)).session == "s1"


async def test_a_frame_that_we_refuse_is_final(stage: Stage) -> None:
    async with stage.opened(max_size=1000) as (connection, peer):
        await peer.says("message", data="x" * 1000)
        with pytest.raises(ConnectionLost) as lost:
            await soon(connection.departure)
        assert (lost.value.code, lost.value.final) == (1009, True)


async def test_what_is_too_large_is_refused_before_the_server_would_hang_up(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        await peer.welcomes(limits={"message_bytes": 100, "channels": 1})
        await soon(connection.greeting)
        with pytest.raises(CommandRefused, match="too_large"):
            await soon(connection.command("publish", data="é" * 40))
        await both(connection.send("publish", data="é" * 30), peer.hears("publish", data="é" * 30))


@pytest.mark.parametrize("data", [math.nan, "\ud800", object()])
async def test_what_json_cannot_say_costs_the_connection_nothing(
    stage: Stage, data: object
) -> None:
    async with stage.opened() as (connection, peer):
        with pytest.raises((ValueError, TypeError)):
            await soon(connection.command("publish", data=data))
        await both(connection.send("ping"), peer.hears("ping"))


async def test_the_handshake_offers_our_protocol_and_carries_headers(stage: Stage) -> None:
    async with stage.opened() as (_, peer):
        assert peer.headers["Sec-WebSocket-Protocol"] == "v1.json"
        assert peer.headers["X-Who"] == "ann"


@pytest.mark.parametrize(
    ("status", "headers", "final", "retry_after"),
    [
        (403, {}, True, None),
        (503, {"Retry-After": "7"}, False, 7.0),
        (503, {"Retry-After": "Fri, 20 Nov 2026 12:00:00 GMT"}, False, None),
    ],
)
async def test_a_refused_handshake_says_what_to_do(
    stage: Stage, status: int, headers: dict[str, str], final: bool, retry_after: float | None
) -> None:
    stage.server.refusals.append((status, headers))
    with pytest.raises(ConnectionLost) as lost:
        await soon(stage.open())
    assert (lost.value.code, lost.value.final) == (status, final)
    assert lost.value.retry_after == retry_after


async def test_a_port_where_nobody_listens_is_worth_another_try(
    server: ScriptedServer, stage: Stage
) -> None:
    server.url = "ws://127.0.0.1:1/ws"
    with pytest.raises(ConnectionLost) as lost:
        await soon(stage.open())
    assert (lost.value.code, lost.value.final) == (1006, False)


async def test_a_server_may_ask_us_to_move(stage: Stage) -> None:
    async with stage.opened() as (connection, peer):
        for after in (1500, 10):
            await peer.says("reconnect", reason="drain", after_ms=after, deadline_ms=9000)
        assert await soon(connection.departure) == 1.5
