"""A cookie with a token: which pages may use it, what it looks like, and how it goes away."""

from collections.abc import AsyncIterator, Iterator, Mapping
from http.cookies import SimpleCookie
from time import time

import httpx2
import pytest
from jose import jwt
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.auth.cookie_jar import LARGEST, CookieSettings
from app.settings import complaints

from ..doors.base import Shown
from ..service import API_KEY, Service, Wire, knock, running

SECRET = "a secret of 32 characters or more"
PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for real users, whose pages are elsewhere."""
    with running(
        tmp_path_factory.mktemp("strict"),
        APP_ALLOWED_ORIGINS=PAGE,
        APP_ENVIRONMENT="production",
        APP_JWT_SECRET=SECRET,
    ) as service:
        yield service
        assert "Traceback" not in service.log


def token(user: str = "ann", seconds: float = 600, **claims: str) -> str:
    """What an identity provider gives a user."""
    now = time()
    claims = {"jti": f"{user}{now}", **claims}
    return jwt.encode({"sub": user, "iat": now, "exp": now + seconds, **claims}, SECRET, "HS256")


def bearer(token: str) -> dict[str, str]:
    """The token as REST has it."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def http(strict: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """REST of the strict server; what it sets is not kept by itself."""
    async with strict.rest() as http:
        yield http


async def first(service: Service, headers: Mapping[str, str]) -> str | int:
    """What a connection with these headers hears first; else the close code, or the status."""
    try:
        wire = Wire(await knock(service, Shown(headers=headers)))
    except InvalidStatus as refused:
        return refused.response.status_code
    async with wire.connection:
        try:
            return str((await wire.hear())["type"])
        except ConnectionClosed:
            return wire.connection.close_code or 0


# what it looks like


async def test_it_is_for_this_host_alone_over_tls_and_no_script_reads_it(
    http: httpx2.AsyncClient,
) -> None:
    mine = token()
    answer = await http.post("/auth/session", headers=bearer(mine))
    assert answer.status_code == 200
    assert answer.json()["user"] == "ann"
    assert answer.headers["cache-control"] == "no-store"
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie.value) == ("__Host-session", mine)
    assert cookie["httponly"] and cookie["secure"]
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == ("strict", "/", "")
    assert 590 <= int(cookie["max-age"]) <= 600, "no longer than the token"


async def test_in_development_it_goes_without_tls(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    mine = str(await service.token("ann"))
    answer = await visitor.post("/auth/session", headers=bearer(mine))
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie.value, cookie["secure"]) == ("session", mine, "")
    assert cookie["httponly"] and cookie["samesite"].lower() == "strict"


def test_tls_can_be_asked_for_in_development_too(bare: pytest.MonkeyPatch) -> None:
    assert CookieSettings().name == "session"
    bare.setenv("APP_COOKIE_SECURE", "true")
    assert CookieSettings().name == "__Host-session"


# who gets it


async def test_only_a_token_sets_it(http: httpx2.AsyncClient) -> None:
    mine = token()
    cookie = {"Cookie": f"__Host-session={mine}", "Origin": PAGE}
    for headers, status in (
        ({}, 401),
        (cookie, 401),
        (bearer("x.y.z"), 401),
        (bearer(token(seconds=-60)), 401),
        ({"X-API-Key": API_KEY}, 403),
        ({"X-API-Key": API_KEY, **bearer(mine)}, 403),
    ):
        answer = await http.post("/auth/session", headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, False), headers


async def test_another_token_renews_it(http: httpx2.AsyncClient) -> None:
    old, new = token(), token("bob")
    headers = {**bearer(new), "Cookie": f"__Host-session={old}", "Origin": PAGE}
    answer = await http.post("/auth/session", headers=headers)
    assert answer.json()["user"] == "bob"
    assert new in answer.headers["set-cookie"]


async def test_a_token_that_browsers_would_drop_is_refused(http: httpx2.AsyncClient) -> None:
    for length in range(LARGEST - 40, LARGEST + 1):
        fill = (length - len(token(name=""))) * 3 // 4
        mine = token(name="x" * fill)
        answer = await http.post("/auth/session", headers=bearer(mine))
        fits = len("__Host-session") + len(mine) <= LARGEST
        if answer.status_code != 401:  # it is too long for a token, too
            assert answer.status_code == (200 if fits else 413), len(mine)
            assert fits or "4096 bytes" in answer.json()["message"]
            if not fits:
                return
    pytest.fail("no token was between the two bounds")


# which pages may use it


@pytest.mark.parametrize(
    ("method", "headers", "may"),
    [
        # what browsers say that tell where a request is from
        ("GET", {"Sec-Fetch-Site": "same-origin"}, True),
        ("GET", {"Sec-Fetch-Site": "none"}, True),
        ("GET", {"Sec-Fetch-Site": "same-site"}, False),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Sec-Fetch-Site": "nonsense"}, False),
        ("GET", {"Sec-Fetch-Site": "same-site", "Origin": PAGE}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Origin": PAGE}, True),
        ("GET", {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example"}, False),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": PAGE}, True),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, False),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site", "Origin": PAGE}, True),
        # older ones, and programs
        ("GET", {}, True),
        ("GET", {"Origin": PAGE}, True),
        ("GET", {"Origin": "https://evil.example"}, False),
        ("POST", {}, False),
        ("POST", {"Origin": PAGE}, True),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Origin": f"{PAGE}.evil.example"}, False),
        ("POST", {"Referer": PAGE}, False),
    ],
    ids=str,
)
async def test_a_request_counts_if_it_is_from_a_page_that_may(
    http: httpx2.AsyncClient, method: str, headers: dict[str, str], may: bool
) -> None:
    cookie = {"Cookie": f"__Host-session={token()}"}
    # A body that is none is refused once it is clear who asks.
    answer = await http.request(method, "/api/rooms", headers={**cookie, **headers}, json={})
    assert answer.status_code == (403 if not may else 422 if method == "POST" else 200)


async def test_a_token_counts_wherever_it_is_from(http: httpx2.AsyncClient) -> None:
    """No page of others can know it."""
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await http.post("/api/rooms", headers={**bearer(token()), **headers}, json={})
        assert answer.status_code == 422


async def test_a_handshake_is_from_a_page_that_may(strict: Service) -> None:
    cookie = {"Cookie": f"__Host-session={token()}"}
    for origin, outcome in (
        (PAGE, "welcome"),
        (None, 403),
        ("null", 403),
        ("https://evil.example", 403),
        (f"{PAGE}.evil.example", 403),
        (strict.http, 403),
    ):
        headers = cookie if origin is None else {**cookie, "Origin": origin}
        assert await first(strict, headers) == outcome, origin


# what it holds


async def test_what_it_holds_must_be_good(strict: Service, http: httpx2.AsyncClient) -> None:
    mine = token()
    name = "__Host-session"
    for cookie, outcome in (
        (None, 4500),
        (f"{name}=", 4500),
        (f"{name}=x", 4500),
        (f"session={mine}", 4500),
        (f"{name.lower()}={mine}", 4500),
        (f'{name}="{mine}"', 4500),
        (f"{name}={token(seconds=-60)}", 4100),
        (f"{name}={mine}; {name}={token('mallory')}", 4500),
        (f"{name}={mine}; {name}={mine}", 4500),
        (f"{name}={mine}; {name}=", 4500),
        (f"a=b; {name}={mine}; c", "welcome"),
    ):
        headers = {"Origin": PAGE} | ({} if cookie is None else {"Cookie": cookie})
        assert await first(strict, headers) == outcome, cookie
        status = (await http.get("/api/rooms", headers=headers)).status_code
        assert status == (200 if outcome == "welcome" else 401), cookie


async def test_a_token_elsewhere_opens_nothing(strict: Service) -> None:
    mine = token()
    assert await first(strict, {"Origin": PAGE, **bearer(mine)}) == 4500
    shown = Shown(query={"token": mine}, headers={"Origin": PAGE})
    assert (await Wire(await knock(strict, shown)).closed())[0] == 4500
    assert mine not in strict.log


async def test_it_is_renewed_over_http_alone(strict: Service) -> None:
    headers = {"Origin": PAGE, "Cookie": f"__Host-session={token()}"}
    wire = Wire(await knock(strict, Shown(headers=headers)))
    async with wire.connection:
        await wire.hear()
        assert (await wire.ask(type="refresh", token=token()))["code"] == "unsupported"
        assert (await wire.ask(type="auth", token=token()))["code"] == "unsupported"
        assert (await wire.ask(type="ping"))["type"] == "pong"


# signing out


def cleared(answer: httpx2.Response) -> bool:
    """Whether the browser forgets it."""
    if "set-cookie" not in answer.headers:
        return False
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie["path"], cookie["domain"]) == ("__Host-session", "/", "")
    assert cookie["secure"] and cookie["httponly"], "else browsers keep the old one"
    return cookie.value == "" and cookie["max-age"] == "0"


async def test_signing_out_ends_connections_and_the_token_and_clears_it(
    strict: Service, http: httpx2.AsyncClient
) -> None:
    headers = {"Origin": PAGE, "Cookie": f"__Host-session={token('leaving')}"}
    wire = Wire(await knock(strict, Shown(headers=headers)))
    await wire.hear()
    answer = await http.delete("/auth/session", headers=headers)
    assert (answer.status_code, cleared(answer)) == (204, True)
    assert (await wire.closed())[0] == 4504
    assert await first(strict, headers) == 4504
    assert (await http.get("/api/rooms", headers=headers)).status_code == 401


async def test_what_is_good_for_nothing_is_cleared_too(http: httpx2.AsyncClient) -> None:
    revoked = token("left")
    await http.delete("/auth/session", headers=bearer(revoked))
    for held in ("", "x", token(seconds=-60), revoked, f"{token()}; __Host-session=x"):
        headers = {"Origin": PAGE, "Cookie": f"__Host-session={held}"}
        answer = await http.delete("/auth/session", headers=headers)
        assert (answer.status_code, cleared(answer)) == (204, True), held


@pytest.mark.parametrize("held", [token(seconds=600), token(seconds=-60), "x"])
async def test_no_page_of_others_signs_anybody_out(http: httpx2.AsyncClient, held: str) -> None:
    cookie = {"Cookie": f"__Host-session={held}"}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await http.delete("/auth/session", headers={**cookie, **headers})
        assert (answer.status_code, cleared(answer)) == (403, False)


async def test_who_shows_nothing_or_another_thing_signs_nobody_out(
    http: httpx2.AsyncClient,
) -> None:
    cookie = {"Origin": PAGE, "Cookie": f"__Host-session={token('stays')}"}
    for headers, status in (
        ({}, 401),
        (bearer("x.y.z"), 401),
        ({**cookie, **bearer("x.y.z")}, 401),
        ({**cookie, "X-API-Key": API_KEY}, 403),
    ):
        answer = await http.delete("/auth/session", headers=headers)
        assert (answer.status_code, cleared(answer)) == (status, False), headers
    assert (await http.get("/api/rooms", headers=cookie)).status_code == 200


# settings


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, []),
        ({"APP_COOKIE_SECURE": "false"}, []),
        ({"APP_ENVIRONMENT": "production", "APP_ALLOWED_ORIGINS": PAGE}, []),
        ({"APP_ENVIRONMENT": "production"}, ["APP_ALLOWED_ORIGINS is missing"]),
        (
            {"APP_ENVIRONMENT": "production", "APP_COOKIE_SECURE": "false"},
            ["APP_ALLOWED_ORIGINS is missing", "APP_COOKIE_SECURE=false"],
        ),
        ({"APP_ALLOWED_ORIGINS": f"{PAGE},http://app.example.com"}, []),
        (
            {
                "APP_ENVIRONMENT": "production",
                "APP_ALLOWED_ORIGINS": f"{PAGE},http://app.example.com,app://mobile",
            },
            [
                "APP_ALLOWED_ORIGINS has app://mobile, which is not https",
                "APP_ALLOWED_ORIGINS has http://app.example.com, which is not https",
            ],
        ),
    ],
    ids=str,
)
def test_what_would_let_others_in_stops_the_start(
    bare: pytest.MonkeyPatch, settings: dict[str, str], wrong: list[str]
) -> None:
    bare.setenv("APP_JWT_SECRET", SECRET)
    for name, value in settings.items():
        bare.setenv(name, value)
    found = sorted(complaints())
    assert len(found) == len(wrong)
    assert all(each in said for each, said in zip(wrong, found, strict=True))
