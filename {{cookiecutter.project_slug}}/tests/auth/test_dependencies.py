"""Who asks over REST: by the key, by a token, or nobody."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request

from app.auth.base import Principal
from app.auth.dependencies import CurrentPrincipal
from app.auth.revocation import Revocations
from app.broker.memory import MemoryBroker
from app.coordination.base import Coordination
from app.coordination.memory import MemoryCoordination
from app.http.errors import install_errors
from app.protocol.errors import CloseCode, Disconnect, Unavailable
from app.settings import complaints

from ..conftest import Connect
from ..realtime.stage import Anybody, open_node
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
        before = service.log.count("key refused")
        response = await visitor.get("/api/rooms", headers=[(b"X-API-Key", key.encode())])
        assert response.status_code == 403, key
        assert service.log.count("key refused") == before + 1
    assert API_KEY[:-1] not in service.log and API_KEY.upper() not in service.log


async def test_an_empty_key_is_none(tmp_path: Path) -> None:
    with running(tmp_path, APP_API_KEY="") as service:
        async with service.rest({"X-API-Key": ""}) as http:
            assert (await http.get("/api/connections")).status_code in (401, 403)


@pytest.mark.parametrize(
    ("environment", "value", "wrong"),
    [
        ("development", "demo", ""),
        ("production", "demo", "shorter than 32"),
        ("production", "x" * 64, "repeats itself"),
        ("production", API_KEY, ""),
        ("production", "", ""),
    ],
)
def test_a_key_that_can_be_guessed_is_for_development(
    bare: pytest.MonkeyPatch, environment: str, value: str, wrong: str
) -> None:
    bare.setenv("APP_ENVIRONMENT", environment)
    bare.setenv("APP_API_KEY", value)
    found = [each for each in complaints() if "APP_API_KEY" in each]
    assert len(found) == bool(wrong)
    for complaint in found:
        assert wrong in complaint and value not in complaint


async def test_nothing_of_it_is_logged(
    service: Service, visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    ann = await connect("ann")
    await visitor.get("/api/rooms", headers={"Authorization": f"Bearer {ann.token}"})
    await visitor.get("/api/rooms", headers={"X-API-Key": API_KEY})
    assert ann.token not in service.log
    assert API_KEY not in service.log


# what the authenticator, or the list of those who are no longer let in, says of a request


class Doorkeeper(Anybody):
    """Lets everybody in as Ann, or says why not."""

    def __init__(self, refusal: Exception | None) -> None:
        self.refusal = refusal

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        if self.refusal is not None:
            raise self.refusal
        return Principal("ann")


class Away(MemoryCoordination):
    """A store that cannot be reached."""

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        raise Unavailable


async def answer(
    refusal: Exception | None = None, coordination: Coordination | None = None
) -> httpx2.Response:
    """What somebody with a token is answered."""
    application = FastAPI()
    install_errors(application)

    @application.get("/")
    async def who(principal: CurrentPrincipal) -> str:
        return principal.user

    async with open_node() as node:
        store, broker = coordination or MemoryCoordination(), MemoryBroker()
        keeper, revocations = Doorkeeper(refusal), Revocations(store, broker)
        own = replace(node, authenticator=keeper, revocations=revocations)

        async def served(scope: Any, receive: Any, send: Any) -> None:
            await application(scope | {"state": {"node": own, "api_key": None}}, receive, send)

        transport = httpx2.ASGITransport(app=served)
        async with httpx2.AsyncClient(transport=transport, base_url="http://node") as http:
            return await http.get("/", headers={"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    "code", [CloseCode.UNAUTHENTICATED, CloseCode.CREDENTIAL_EXPIRED, CloseCode.REVOKED]
)
async def test_what_would_end_a_connection_makes_nobody(code: CloseCode) -> None:
    assert (await answer()).json() == "ann"
    response = await answer(Disconnect(code))
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.json()["message"] == code.reason
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("refusal", "store"), [(Unavailable(), None), (None, Away())], ids=["keys", "deny-list"]
)
async def test_who_cannot_be_checked_now_is_let_in_later_and_not_before(
    refusal: Exception | None, store: Coordination | None
) -> None:
    response = await answer(refusal, store)
    assert (response.status_code, response.json()["retryable"]) == (503, True)
    assert "www-authenticate" not in response.headers
