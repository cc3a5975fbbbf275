"""A token in the URL: it opens a connection, is renewed inside it, and means nothing elsewhere."""

import httpx2
import pytest

from ..conftest import Connect
from ..doors.base import Shown
from ..service import Service, Wire, knock


async def opened(service: Service, **query: str) -> Wire:
    """A connection with this query."""
    return Wire(await knock(service, Shown(query=query)))


async def test_a_token_in_the_query_opens_a_connection(service: Service, calm: None) -> None:
    wire = await opened(service, token=str(await service.token("ann")))
    async with wire.connection:
        welcome = await wire.hear()
        assert (welcome["type"], welcome["user"]["id"]) == ("welcome", "ann")
        assert "expires_at" in welcome and "guest_token" not in welcome


async def test_on_a_path_too(service: Service, calm: None) -> None:
    shown = await service.shown("ann")
    wire = Wire(await knock(service, shown, "/chat/lobby?last=1"))
    async with wire.connection:
        assert [(await wire.hear())["type"] for _ in range(2)] == ["welcome", "subscribed"]


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": "x"}, {"Token": "x"}])
async def test_without_a_good_one_it_is_accepted_and_closed(
    service: Service, calm: None, query: dict[str, str]
) -> None:
    """A browser shows nothing but 1006 of a handshake that is refused."""
    assert await (await opened(service, **query)).closed() == (4500, "unauthenticated")


async def test_a_token_elsewhere_proves_nothing(service: Service, calm: None) -> None:
    token = str(await service.token("ann"))
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"session={token}"}):
        wire = Wire(await knock(service, Shown(headers=headers)))
        assert (await wire.closed())[0] == 4500


async def test_over_rest_a_token_in_the_query_proves_nothing(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    token = str(await service.token("ann"))
    assert (await visitor.get(f"/api/rooms?token={token}")).status_code == 401
    assert token not in service.log


async def test_it_is_renewed_inside_the_connection(service: Service, connect: Connect) -> None:
    ann, other = await connect("ann"), str(await service.token("bob"))
    renewed = await ann.ask(type="refresh", token=str(await service.token("ann")))
    assert renewed["type"] == "ok" and "expires_at" in renewed
    assert (await ann.ask(type="refresh", token=other))["code"] == "forbidden"
    assert (await ann.ask(type="refresh", token="x"))["code"] == "unauthenticated"
    assert (await ann.ask(type="auth", token=other))["code"] == "unsupported"
    assert (await ann.ask(type="ping"))["type"] == "pong"
