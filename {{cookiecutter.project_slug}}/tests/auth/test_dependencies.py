"""Who asks over REST: by the key, by a token, or nobody."""

from pathlib import Path

import httpx2

from ..conftest import Connect
from ..service import API_KEY, Service, running


async def who(http: httpx2.AsyncClient, name: str, **headers: str) -> tuple[int, str | None]:
    """The status, and whom the service took the one who created a room for."""
    response = await http.post("/api/rooms", json={"name": name}, headers=headers)
    return response.status_code, response.json().get("created_by")


async def test_the_key_makes_a_server(visitor: httpx2.AsyncClient) -> None:
    assert await who(visitor, "by-key", **{"X-API-Key": API_KEY}) == (201, "server")


async def test_a_token_makes_its_user(visitor: httpx2.AsyncClient, connect: Connect) -> None:
    ann = await connect("ann")
    bearer = f"Bearer {ann.token}"
    assert await who(visitor, "by-token", authorization=bearer) == (201, ann.user)


async def test_a_wrong_key_is_not_made_good_by_a_token(
    visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    ann = await connect("ann")
    headers = {"X-API-Key": "another", "Authorization": f"Bearer {ann.token}"}
    assert (await who(visitor, "by-both", **headers))[0] == 403


async def test_a_wrong_token_makes_nobody(visitor: httpx2.AsyncClient, connect: Connect) -> None:
    ann = await connect("ann")
    for token in ("x", ann.token[:-1], f"{ann.token}x", "ü".encode().decode("latin-1")):
        response = await visitor.post(
            "/api/rooms",
            json={"name": "by-nobody"},
            headers=[(b"Authorization", f"Bearer {token}".encode())],
        )
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_who_came_without_a_token_is_not_told_that_it_is_wrong(
    visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    ann = await connect("ann")
    for header in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        response = await visitor.get("/api/connections", headers=header)
        assert response.status_code in (401, 403), "guests are somebody"
        if response.status_code == 401:
            assert response.headers["www-authenticate"] == "Bearer"
    forbidden = {"Authorization": f"Bearer {ann.token}"}
    response = await visitor.get("/api/connections", headers=forbidden)
    assert response.status_code == 403
    assert "www-authenticate" not in response.headers


async def test_a_key_fits_whole_or_not_at_all(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    for key in (API_KEY[:-1], f"{API_KEY}x", API_KEY.upper(), "ü".encode().decode("latin-1")):
        response = await visitor.get("/api/rooms", headers=[(b"X-API-Key", key.encode())])
        assert response.status_code == 403, key


async def test_an_empty_key_is_none(tmp_path: Path) -> None:
    with running(tmp_path, APP_API_KEY="") as service:
        async with service.rest({"X-API-Key": ""}) as http:
            assert (await http.get("/api/connections")).status_code in (401, 403)


async def test_nothing_of_it_is_logged(
    service: Service, visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    ann = await connect("ann")
    await visitor.get("/api/rooms", headers={"Authorization": f"Bearer {ann.token}"})
    await visitor.get("/api/rooms", headers={"X-API-Key": API_KEY})
    assert ann.token not in service.log
    assert API_KEY not in service.log
