"""Accounts over HTTP and the socket: what is answered to whom, and what is told to nobody."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import select

from app.database.models import RefreshToken, User

from ..auth.provider import SigningKey
from ..databases import nowhere, own_database
from ..doors import open_door
from ..identity.entry import enter, reception
from ..service import PATIENCE, Service, Wire, running
from .people import (
    PASSWORD,
    Member,
    back,
    database_of,
    joined,
    member,
    post,
    register,
    renew,
    sign_in,
)

REFUSALS = open_door().refusals
TOKEN = {"access_token", "token_type", "expires_in", "refresh_token"}

PRODUCTION = {
    "APP_ENVIRONMENT": "production",
    "APP_JWT_SECRET": "a secret of 32 characters or more",
    "APP_ALLOWED_ORIGINS": "https://app.example.com",
}


def error(code: str, message: str, **more: Any) -> dict[str, Any]:
    """What a refusal says."""
    again = code in ("rate_limited", "unavailable")
    return {"type": "error", "code": code, "message": message, "retryable": again, **more}


WRONG = error("unauthenticated", "the name or the password is wrong")
SPENT = error("unauthenticated", "this is good no more: sign in again")


async def chat(wire: Wire, text: str) -> str:
    """Say something in a room; it comes back with whom it is from."""
    await wire.ask(type="subscribe", channel="chat:sequence")
    heard = await wire.ask_all(type="publish", channel="chat:sequence", data={"text": text})
    while not (said := [each for each in heard if each["type"] == "message"]):
        heard.append(await wire.hear())
    assert said[0]["data"] == {"text": text}
    return str(said[0]["from"]["id"])


async def test_register_sign_in_chat_sign_out_and_an_old_refresh_token(
    service: Service, calm: None
) -> None:
    """The answers that the README promises."""
    registered = await register(service, "ada")
    assert registered.status_code == 201
    assert registered.headers["cache-control"] == "no-store"
    signed_in = await sign_in(service, "ada")
    assert signed_in.status_code == 200
    assert signed_in.headers["cache-control"] == "no-store"
    for answer in (registered, signed_in):
        token = answer.json()
        assert token.keys() == TOKEN
        assert (token["token_type"], token["expires_in"]) == ("bearer", 900)
        assert len(token["refresh_token"]) == 43
    ada = member(service, "ada", signed_in)
    wire = await enter(service, ada.access)
    assert wire.welcome["user"] == {"id": "ada", "name": "ada"}
    assert await chat(wire, "hello") == "ada"

    answer = await renew(service, ada.refresh)
    assert (answer.status_code, answer.json().keys()) == (200, TOKEN)
    assert answer.headers["cache-control"] == "no-store"
    now = member(service, "ada", answer)
    renewal = await open_door().renewal(service, now.access)
    if renewal is not None:
        assert (await wire.ask(type="refresh", token=renewal))["type"] == "ok"
    assert await chat(wire, "still here") == "ada"

    async with service.rest(now.bearer) as http:
        left = await http.delete("/auth/session")
        assert (left.status_code, left.content) == (204, b"")
        async with asyncio.timeout(1):
            assert await wire.closed() == (4504, "revoked")
        refused = await http.get("/api/rooms")
    assert (refused.status_code, refused.json()) == (401, error("unauthenticated", "revoked"))
    assert await reception(service, now.access) == REFUSALS.of(4504)

    for old in (ada.refresh, now.refresh):
        answer = await renew(service, old)
        assert (answer.status_code, answer.json()) == (401, SPENT)
        assert answer.headers["www-authenticate"] == "Bearer"
    other = member(service, "ada", registered)
    assert await other.rooms() == 200, "another sign-in is another matter"
    again = await renew(service, other.refresh)
    assert again.status_code == 200
    answer = await renew(service, other.refresh)
    assert (answer.status_code, answer.json()) == (401, SPENT)
    assert await other.rooms() == 401, "what was used twice was stolen"


async def test_a_name_is_taken_however_it_is_typed(service: Service) -> None:
    assert (await register(service, "Zoe\u0308")).status_code == 201
    for typed in ("Zoe\u0308", "Zo\u00eb", " Zo\u00eb "):
        answer = await register(service, typed.swapcase(), "another password")
        taken = error("conflict", "this name is taken", field="username")
        assert (answer.status_code, answer.json()) == (409, taken)
    there = await back(service, " zO\u00cb")
    wire = await enter(service, there.access)
    assert wire.welcome["user"] == {"id": "Zo\u00eb", "name": "Zo\u00eb"}
    await wire.connection.close()


async def test_of_many_who_want_a_name_one_gets_it(service: Service) -> None:
    answers = await asyncio.gather(*(register(service, "popular") for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\0b", "a\nb", "server"])
async def test_a_name_that_nobody_can_have_is_refused(
    service: Service, calm: None, name: str
) -> None:
    answer = await register(service, name)
    assert (answer.status_code, answer.json()["field"]) == (422, "username")
    if name.isprintable() and name:
        assert (await sign_in(service, name)).status_code == 422


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 129])
async def test_a_password_is_long_enough_and_not_too_long(service: Service, password: str) -> None:
    answer = await register(service, "careless", password)
    assert (answer.status_code, answer.json()["field"]) == (422, "password")
    assert password == "" or password not in answer.text
    assert (await sign_in(service, "careless", password or "x")).status_code == 401


@pytest.mark.parametrize("password", ["x" * 8, "x" * 128, "a\0 in between"])
async def test_any_other_password_is_one(service: Service, calm: None, password: str) -> None:
    assert (await register(service, f"careful {password!r}"[:64], password)).status_code == 201


async def test_who_is_wrong_does_not_learn_in_what(service: Service) -> None:
    await joined(service, "guessed")
    for name in ("guessed", "not there"):
        answer = await sign_in(service, name, "a wrong password")
        assert (answer.status_code, answer.json()) == (401, WRONG)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_nobody_gets_a_scope_by_asking(service: Service) -> None:
    await joined(service, "ambitious")
    form = {"username": "ambitious", "password": PASSWORD, "scope": "admin publish"}
    async with service.rest() as http:
        answer = await http.post("/auth/token", data=form)
    async with service.rest(member(service, "", answer).bearer) as http:
        assert (await http.get("/api/connections")).status_code == 403


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"{" * 999,
        b'{"username": 1, "password": [], "refresh_token": {}}',
        b'{"username": "a", "password": "\\ud800aaaaaaaa", "refresh_token": "\\ud800"}',
    ],
)
async def test_what_makes_no_sense_breaks_nothing(
    service: Service, calm: None, content: bytes
) -> None:
    async with service.rest({"Content-Type": "application/json"}) as http:
        for path in ("/auth/register", "/auth/token", "/auth/refresh"):
            assert (await http.post(path, content=content)).status_code in (400, 422)


@pytest.mark.parametrize("elsewhere", ["APP_JWT_PUBLIC_KEY", "APP_JWT_JWKS_URL"])
async def test_beside_an_identity_provider_there_are_no_accounts(
    tmp_path: Path, elsewhere: str
) -> None:
    value = SigningKey().public if elsewhere == "APP_JWT_PUBLIC_KEY" else "http://127.0.0.1:9/"
    with running(tmp_path, **{elsewhere: value}) as service:
        for answer in (
            await register(service, "ann"),
            await sign_in(service, "ann"),
            await renew(service, "x"),
        ):
            assert answer.status_code == 404
            assert "identity provider" in answer.text


@pytest.mark.parametrize("closed", [{"APP_REGISTRATION": "false"}, PRODUCTION])
async def test_registration_can_be_closed_and_is_in_production(
    tmp_path: Path, closed: dict[str, str]
) -> None:
    own = own_database(tmp_path) | {"APP_JWT_SECRET": PRODUCTION["APP_JWT_SECRET"]}
    with running(tmp_path, **own) as service:
        await joined(service, "early")
    with running(tmp_path, **(own | closed)) as service:
        answer = await register(service, "late")
        said = "nobody registers here: ask for an account whoever runs this service"
        assert (answer.status_code, answer.json()) == (403, error("forbidden", said))
        assert await (await back(service, "early")).rooms() == 200
    with running(tmp_path, **(own | PRODUCTION), APP_REGISTRATION="true") as service:
        assert (await register(service, "late")).status_code == 201


async def test_a_name_and_an_address_are_tried_so_often_and_no_more(tmp_path: Path) -> None:
    """Who tries a name keeps nobody else from it, and nobody from another name."""
    limits = {
        "APP_SIGN_INS_PER_NAME": "3",
        "APP_SIGN_INS_PER_NAME_EVERYWHERE": "7",
        "APP_SIGN_INS_PER_ADDRESS": "5",
    }
    with running(tmp_path, APP_TRUSTED_PROXIES="127.0.0.1", **limits) as service:

        async def attempt(
            name: str, address: str, path: str = "/auth/token", said: str = "wrong"
        ) -> int:
            seen = {"X-Forwarded-For": address}
            if path != "/auth/token":
                wanted = {"username": name, "password": PASSWORD}
                return (await post(service, path, wanted, seen)).status_code
            form = {"username": name, "password": said}
            async with service.rest(seen) as http:
                answer = await http.post(path, data=form)
            if answer.status_code == 429:
                wait = int(answer.headers["retry-after"])
                assert 0 < wait <= 20
                assert answer.json()["code"] == "rate_limited"
                assert 0 < answer.json()["retry_after_ms"] <= 1000 * wait
            return answer.status_code

        assert await attempt("ann", "10.0.0.1", "/auth/register") == 201
        assert [await attempt("ann", "10.0.9.9") for _ in range(5)] == [401] * 3 + [429] * 2
        assert await attempt("ann", "10.0.0.1", said=PASSWORD) == 200, "she is elsewhere"
        tried = [await attempt("ann", f"10.0.1.{number}") for number in range(4)]
        assert tried == [401, 401, 401, 429], "many guess together"
        assert await attempt("a\u0301nn", "10.0.1.9") == 401, "another name"
        wanted = [await attempt(name, "10.0.3.1", "/auth/register") for name in ("fred",) * 5]
        assert wanted == [201, 409, 409, 409, 409], "to register is not to try a name"
        assert await attempt("fred", "10.0.3.2", said=PASSWORD) == 200
        tried = [await attempt(f"bob {number}", "10.0.0.2") for number in range(6)]
        assert tried == [401] * 5 + [429]
        assert await attempt("carl", "10.0.0.2", "/auth/register") == 429
        assert [await attempt("dora", "10.0.0.2") for _ in range(3)] == [429] * 3
        assert await attempt("dora", "10.0.0.3") == 401, "who may not try uses up nobody's"
        tried = [await attempt(f"eve {number}", f"2001:db8::{number}") for number in range(6)]
        assert tried == [401] * 5 + [429], "a customer has many addresses of IPv6"
        assert await attempt("eve 6", "2001:db8:0:1::1") == 401


async def test_without_a_proxy_nobody_is_where_they_say(tmp_path: Path) -> None:
    with running(tmp_path, APP_SIGN_INS_PER_ADDRESS="2") as service:
        for number, status in enumerate((401, 401, 429)):
            async with service.rest({"X-Forwarded-For": f"10.0.0.{number}"}) as http:
                form = {"username": f"ann {number}", "password": "wrong"}
                assert (await http.post("/auth/token", data=form)).status_code == status


async def test_where_nothing_can_be_written_it_is_said_in_time_and_heals(tmp_path: Path) -> None:
    """What was asked for meanwhile may be done later, or not; nobody is told that it was."""
    with running(tmp_path, APP_DATABASE_SECONDS="0.5") as service:
        ann = await joined(service, "ann")
        async with (
            database_of(service) as database,
            database.session(writes=True) as session,
        ):
            await session.execute(select(User).where(User.name == "ann").with_for_update())
            begun = monotonic()
            answers = [await sign_in(service, "ann"), await renew(service, ann.refresh)]
            for answer in answers:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert await ann.sign_out() == 503
            assert await ann.sign_out(everywhere="true") == 503
            assert monotonic() - begun < 10
        async with asyncio.timeout(PATIENCE):
            while (answer := await sign_in(service, "ann")).status_code == 503:
                await asyncio.sleep(0.05)
        assert answer.status_code == 200
        assert await member(service, "ann", answer).sign_out() == 204
        assert "Traceback" not in service.log


async def test_who_cannot_be_checked_comes_in_later(tmp_path: Path) -> None:
    """A token is good only if it is known that it was not revoked; nobody signs in either."""
    with running(tmp_path, APP_DATABASE_SECONDS="0.5", **nowhere(tmp_path)) as service:
        stranger = Member(service, "", str(await service.token("ann")), "")
        begun = monotonic()
        assert await reception(service, stranger.access) == REFUSALS.over_http(503, or_else=4004)
        assert [await stranger.rooms(), await stranger.sign_out()] == [503, 503]
        for answer in (
            await register(service, "ann"),
            await sign_in(service, "ann"),
            await renew(service, "x"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert monotonic() - begun < 10
        assert "Traceback" not in service.log


async def test_nothing_of_what_signs_somebody_in_is_logged(tmp_path: Path) -> None:
    """Also where it goes wrong, and where everything is logged that can be."""
    with running(tmp_path, APP_LOG_LEVEL="debug", APP_DATABASE_SECONDS="0.5") as service:
        ann = await joined(service, "ann")
        now = await ann.renewed()
        await sign_in(service, "ann", "a wrong password")
        await register(service, "ann")
        async with database_of(service) as database:
            async with database.session(writes=True) as session:
                await session.execute(select(User).where(User.name == "ann").with_for_update())
                await sign_in(service, "ann")
                await renew(service, now.refresh)
            wanted = select(User.password_hash)
            kept = await database.run(lambda c: c.execute(wanted).scalar_one())
            digests = select(RefreshToken.digest)
            known = await database.run(lambda c: c.execute(digests).scalars().all())
        await renew(service, ann.refresh)
        secrets = [PASSWORD, "a wrong password", kept]
        secrets += [each for who in (ann, now) for each in (who.access, who.refresh)]
        secrets += [each.hex() for each in known] + [repr(each)[2:-1] for each in known]
        assert [each for each in secrets if each in service.log] == []


async def test_the_api_describes_what_may_be_answered(service: Service) -> None:
    async with service.rest() as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    documented = {
        path: set(paths[path]["post"]["responses"])
        for path in ("/auth/register", "/auth/token", "/auth/refresh")
    }
    assert documented == {
        "/auth/register": {"201", "403", "404", "409", "422", "429", "503"},
        "/auth/token": {"200", "401", "404", "422", "429", "503"},
        "/auth/refresh": {"200", "401", "404", "422", "503"},
    }
    shape = paths["/auth/refresh"]["post"]["responses"]["401"]["content"]["application/json"]
    assert shape["schema"]["$ref"].endswith("/Error")
