"""Tickets: each opens one connection, within half a minute, whoever comes with it and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed

from app.auth.base import Principal
from app.auth.ticket import LONGEST, TICKET_SECONDS, Tickets
from app.auth.tokens import open_tokens, sign
from app.coordination.memory import MemoryCoordination
from app.protocol.errors import CloseCode, Disconnect

from ..conftest import Connect
from ..doors.base import Shown
from ..service import API_KEY, PATIENCE, Service, Wire, knock, running


@pytest.fixture
async def ann(service: Service, calm: None) -> AsyncIterator[httpx2.AsyncClient]:
    """REST, as Ann."""
    async with service.rest({"Authorization": f"Bearer {await service.token('ann')}"}) as http:
        yield http


async def ticket(http: httpx2.AsyncClient) -> str:
    """A fresh one."""
    answer = await http.post("/auth/ticket")
    assert answer.status_code == 201
    return str(answer.json()["ticket"])


async def outcome(service: Service, ticket: str) -> int:
    """The code of the close; 0 for who is welcome, who leaves then."""
    wire = Wire(await knock(service, Shown(query={"ticket": ticket}), open_timeout=PATIENCE))
    async with wire.connection:
        try:
            assert (await wire.hear())["type"] == "welcome"
            return 0
        except ConnectionClosed:
            return wire.connection.close_code or 0


async def test_a_ticket_opens_a_connection_once(service: Service, ann: httpx2.AsyncClient) -> None:
    mine = await ticket(ann)
    assert [await outcome(service, mine) for _ in range(3)] == [0, 4101, 4101]


async def test_of_100_who_come_with_one_at_once_one_is_let_in(tmp_path: Path) -> None:
    """Fifty times."""
    with running(tmp_path, APP_CONNECTIONS_PER_ADDRESS="1000") as service:
        async with service.rest({"Authorization": f"Bearer {await service.token('ann')}"}) as http:
            for _ in range(50):
                mine = await ticket(http)
                codes = await asyncio.gather(*(outcome(service, mine) for _ in range(100)))
                assert (codes.count(0), codes.count(4101)) == (1, 99)
        assert "Traceback" not in service.log


async def test_the_answer_is_for_nobody_to_keep(ann: httpx2.AsyncClient) -> None:
    answer = await ann.post("/auth/ticket")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"ticket", "expires_in"}
    assert answer.json()["expires_in"] == 30
    assert len(answer.json()["ticket"]) == 32


@pytest.mark.parametrize("wrong", ["", "x", "x" * 32, "x" * 65, "x" * 5000, "\u00fc\n", "a&b=c"])
async def test_what_is_no_ticket_opens_nothing(service: Service, calm: None, wrong: str) -> None:
    assert await outcome(service, wrong) == (4101 if wrong else 4500)


async def test_a_token_is_no_ticket_and_a_ticket_no_token(
    service: Service, ann: httpx2.AsyncClient, visitor: httpx2.AsyncClient
) -> None:
    token = str(await service.token("ann"))
    assert await outcome(service, token) == 4101
    for shown in (
        Shown(),
        Shown(query={"token": token}),
        Shown(headers={"Authorization": f"Bearer {token}"}),
    ):
        assert (await Wire(await knock(service, shown)).closed())[0] == 4500
    mine = await ticket(ann)
    bearer = {"Authorization": f"Bearer {mine}"}
    assert (await visitor.get("/api/rooms", headers=bearer)).status_code == 401
    assert (await visitor.get(f"/api/rooms?ticket={mine}")).status_code == 401
    assert await outcome(service, mine) == 0
    assert mine not in service.log


async def test_only_users_get_one(visitor: httpx2.AsyncClient) -> None:
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer x.y.z"}, 401),
        ({"X-API-Key": "another"}, 403),
        ({"X-API-Key": API_KEY}, 403),
    ):
        assert (await visitor.post("/auth/ticket", headers=headers)).status_code == status


async def test_who_asks_for_too_many_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path, APP_COMMANDS_PER_SECOND="0.01", APP_COMMANDS_BURST="3") as service:
        status = []
        for user in ("ann", "bob"):
            bearer = {"Authorization": f"Bearer {await service.token(user)}"}
            async with service.rest(bearer) as http:
                answers = [await http.post("/auth/ticket") for _ in range(4)]
            status.append([each.status_code for each in answers])
            assert 90 <= int(answers[-1].headers["retry-after"]) <= 100
        assert status == [[201, 201, 201, 429]] * 2


async def test_it_renews_what_a_connection_lives_by(
    service: Service, ann: httpx2.AsyncClient, connect: Connect
) -> None:
    wire, mine = await connect("ann"), await ticket(ann)
    renewed = await wire.ask(type="refresh", token=mine)
    assert renewed["type"] == "ok" and "expires_at" in renewed
    assert (await wire.ask(type="refresh", token=mine))["type"] == "error"
    assert (await wire.ask(type="ping"))["type"] == "pong"


# without a server


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def handshake(ticket: str) -> HTTPConnection:
    """A handshake with a ticket."""
    scope: dict[str, Any] = {"type": "websocket", "query_string": f"ticket={ticket}".encode()}
    return HTTPConnection(scope)


@asynccontextmanager
async def ends_with(code: CloseCode) -> AsyncIterator[None]:
    """What is done inside ends a connection."""
    with pytest.raises(Disconnect) as ended:
        yield
    assert ended.value.code is code


async def verified() -> Principal:
    """Whom a token proves."""
    scopes = frozenset({"publish", "notify"})
    async with open_tokens() as tokens:
        return await tokens.verify(sign("ann", name="Ann", scopes=scopes, seconds=3600))


async def test_it_stands_for_whom_the_token_proved_with_all_that_goes_with_it(
    bare: pytest.MonkeyPatch,
) -> None:
    tickets, ann = Tickets(cast(Any, None), MemoryCoordination()), await verified()
    mine = await tickets.issue(ann)
    assert await tickets.at_handshake(handshake(mine.ticket)) == ann


async def test_it_is_good_for_half_a_minute(bare: pytest.MonkeyPatch) -> None:
    clock = Clock()
    tickets, ann = Tickets(cast(Any, None), MemoryCoordination(clock)), await verified()
    one, other = await tickets.issue(ann), await tickets.issue(ann)
    clock.now = TICKET_SECONDS - 0.1
    assert await tickets.by_token(one.ticket) == ann
    clock.now = TICKET_SECONDS
    async with ends_with(CloseCode.TICKET_SPENT):
        await tickets.by_token(other.ticket)


async def test_it_is_good_for_no_longer_than_the_token(bare: pytest.MonkeyPatch) -> None:
    tickets = Tickets(cast(Any, None), MemoryCoordination())
    expired = replace(await verified(), expires_at=datetime.now(UTC))
    mine = await tickets.issue(expired)
    async with ends_with(CloseCode.CREDENTIAL_EXPIRED):
        await tickets.by_token(mine.ticket)


async def test_who_reads_the_store_finds_nothing_to_connect_with(
    bare: pytest.MonkeyPatch,
) -> None:
    store = MemoryCoordination()
    mine = await Tickets(cast(Any, None), store).issue(await verified())
    assert store.kept
    assert mine.ticket not in repr(store.kept)


async def test_what_is_too_long_is_not_even_looked_up(bare: pytest.MonkeyPatch) -> None:
    tickets = Tickets(cast(Any, None), cast(Any, None))
    async with ends_with(CloseCode.TICKET_SPENT):
        await tickets.by_token("x" * (LONGEST + 1))
