"""What goes wrong over HTTP counts as it does with a handshake."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidURI

from client.errors import ConnectionLost
from client.http import post

from .desk import Desk, attended
from .scripted import ScriptedServer, soon

PATH = "auth/something"
EXPIRED = {"code": "unauthenticated", "message": "credential expired"}


@pytest.fixture
async def desk(server: ScriptedServer) -> AsyncIterator[Desk]:
    async with attended(server) as desk:
        yield desk


@pytest.mark.parametrize(
    ("status", "body", "code", "reason"),
    [
        (401, EXPIRED, 4100, "credential expired"),
        (401, {"code": "unauthenticated", "message": "revoked"}, 401, "revoked"),
        (403, {"code": "forbidden", "message": "no"}, 403, "no"),
        (404, "not from this service", 404, "Not Found"),
        (307, None, 307, "Temporary Redirect"),
    ],
)
async def test_a_refusal_is_final_except_that_another_token_may_do(
    server: ScriptedServer, desk: Desk, status: int, body: object, code: int, reason: str
) -> None:
    asking = asyncio.create_task(post(server.url, PATH, "t1", None))
    (await desk.asked(f"/{PATH}", "t1")).answers(status, body)
    with pytest.raises(ConnectionLost) as lost:
        await soon(asking)
    assert (lost.value.code, lost.value.reason) == (code, reason)
    assert lost.value.final is (code != 4100)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_may_pass_is_a_connection_that_failed(
    server: ScriptedServer, desk: Desk, status: int
) -> None:
    asking = asyncio.create_task(post(server.url, PATH, "t1", None))
    asked = await desk.asked(f"/{PATH}", "t1")
    asked.answers(status, None, {"Retry-After": "7"})
    with pytest.raises(ConnectionLost) as lost:
        await soon(asking)
    assert (lost.value.final, lost.value.retry_after) == (False, 7.0)


async def test_so_is_a_service_that_hangs_up_or_is_not_there(
    server: ScriptedServer, desk: Desk
) -> None:
    asking = asyncio.create_task(post(server.url, PATH, "t1", None))
    (await desk.asked(f"/{PATH}", "t1")).hangs_up()
    with pytest.raises(ConnectionLost, match=f"1006 {PATH}: ") as lost:
        await soon(asking)
    assert not lost.value.final
    with pytest.raises(ConnectionLost, match=f"1006 {PATH}: ") as lost:
        await soon(post("ws://127.0.0.1:1/ws", PATH, "t1", None))
    assert not lost.value.final


@pytest.mark.parametrize("token", ["", "two words", "t1\r\nX-Evil: 1", "tökén", "t1\n"])
async def test_what_is_no_token_is_not_sent(token: str) -> None:
    with pytest.raises(ConnectionLost, match="4500") as lost:
        await soon(post("ws://127.0.0.1:1/ws", PATH, token, None))
    assert lost.value.final


async def test_proxies_do_not_stand_before_this_machine(
    server: ScriptedServer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    asking = asyncio.create_task(post(server.url, PATH, "t1", None))
    (await desk.asked(f"/{PATH}", "t1")).answers(200, {})
    assert (await soon(asking)).status_code == 200


async def test_the_path_is_beside_the_sockets(server: ScriptedServer, desk: Desk) -> None:
    url = server.url.replace("/ws", "/live/ws?last=5")
    asking = asyncio.create_task(post(url, PATH, "t1", None))
    (await desk.asked(f"/live/{PATH}", "t1")).answers(200, {})
    await soon(asking)


async def test_an_address_that_is_no_sockets_is_said_to_be_none() -> None:
    with pytest.raises(InvalidURI):
        await post("http://127.0.0.1:1/ws", PATH, "t1", None)
