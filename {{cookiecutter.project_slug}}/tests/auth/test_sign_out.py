"""Signing out ends what a token is good for, and every connection that it opened."""

import asyncio
from contextlib import suppress

import httpx2

from ..conftest import Connect
from ..doors import open_door
from ..doors.base import Refused
from ..service import API_KEY, Service, Wire, knock
from ..signing import signed


async def signed_in(service: Service, user: str) -> str:
    """A token that nobody else uses."""
    return signed(service.secret, user)


async def opened(service: Service, token: str) -> Wire:
    """A connection that shows this token, and what it heard first, if it was welcome."""
    shown = await open_door().show(service, token)
    wire = Wire(await knock(service, shown))
    if shown.message is not None:
        await wire.say(**shown.message)
    return wire


def bearer(token: str) -> dict[str, str]:
    """The token as REST has it."""
    return {"Authorization": f"Bearer {token}"}


async def test_all_connections_of_the_token_end_and_those_of_another_stay(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    token, other = await signed_in(service, "leaving"), await signed_in(service, "leaving")
    wires = [await opened(service, each) for each in (token, token, other)]
    for wire in wires:
        assert (await wire.hear())["type"] == "welcome"
    answer = await visitor.delete("/auth/session", headers=bearer(token))
    assert (answer.status_code, answer.content) == (204, b"")
    async with asyncio.timeout(1):
        assert [(await wire.closed())[0] for wire in wires[:2]] == [4504, 4504]
    async with wires[2].connection:
        assert (await wires[2].ask(type="ping"))["type"] == "pong"


async def test_the_token_is_good_for_nothing_any_more(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    token = await signed_in(service, "left")
    assert (await visitor.get("/api/rooms", headers=bearer(token))).status_code == 200
    await visitor.delete("/auth/session", headers=bearer(token))
    for method, path in (("GET", "/api/rooms"), ("DELETE", "/auth/session")):
        again = await visitor.request(method, path, headers=bearer(token))
        assert again.status_code == 401
        assert again.json()["message"] == "revoked"
        assert again.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    with suppress(Refused):  # nor can it be exchanged for something else
        assert (await (await opened(service, token)).closed())[0] == 4504
    assert token not in service.log


async def test_what_a_token_was_exchanged_for_before_opens_nothing_either(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    token = await signed_in(service, "gone")
    shown = await open_door().show(service, token)
    await visitor.delete("/auth/session", headers=bearer(token))
    wire = Wire(await knock(service, shown))
    if shown.message is not None:
        await wire.say(**shown.message)
    assert (await wire.closed())[0] == 4504


async def test_who_signs_out_everywhere_has_nothing_left(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    token, other = await signed_in(service, "leaving all"), await signed_in(service, "leaving all")
    wires = [await opened(service, each) for each in (token, other)]
    stays = await opened(service, await signed_in(service, "not leaving"))
    for wire in (*wires, stays):
        assert (await wire.hear())["type"] == "welcome"
    path = "/auth/session?everywhere=true"
    assert (await visitor.delete(path, headers=bearer(token))).status_code == 204
    async with asyncio.timeout(1):
        assert [(await wire.closed())[0] for wire in wires] == [4504, 4504]
    for each in (token, other):
        assert (await visitor.get("/api/rooms", headers=bearer(each))).status_code == 401
    assert (await stays.ask(type="ping"))["type"] == "pong"
    again = await signed_in(service, "leaving all")
    assert (await visitor.get("/api/rooms", headers=bearer(again))).status_code == 200
    key = await visitor.delete(path, headers={"X-API-Key": API_KEY})
    assert key.status_code == 403
    await stays.connection.close()


async def test_who_is_not_signed_in_cannot_sign_out(
    visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    assert (await visitor.delete("/auth/session")).status_code == 401
    wrong = await visitor.delete("/auth/session", headers=bearer("x.y.z"))
    assert wrong.status_code == 401
    key = await visitor.delete("/auth/session", headers={"X-API-Key": API_KEY})
    assert key.status_code == 403
