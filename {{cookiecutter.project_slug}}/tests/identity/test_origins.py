"""Pages of others do not get a connection, whoever is signed in: 403 before there is one."""

from collections.abc import Iterator

import pytest

from ..doors.base import Shown
from ..server.stranger import HANDSHAKE, Stranger, request
from ..service import Service, running
from .entry import answer_from

LISTED = "https://app.example", "http://localhost:3000"


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose pages are elsewhere."""
    folder = tmp_path_factory.mktemp("listed")
    with running(folder, APP_ALLOWED_ORIGINS=", ".join(LISTED)) as service:
        yield service


FOREIGN = {
    "null": "null",
    "foreign": "https://evil.example",
    "nothing": "",
    "suffix": "{own}.evil.example",
    "suffix of the port": "{own}0",
    "prefix": "http://evil.{host}",
    "prefix without a dot": "http://evil{host}",
    "user": "http://{host}@evil.example",
    "password": "http://a:b@{host}",
    "path": "{own}/evil",
    "path elsewhere": "http://evil.example/{host}",
    "query elsewhere": "http://evil.example?{own}",
    "fragment elsewhere": "http://evil.example#{own}",
    "another port": "http://127.0.0.1:1",
    "no port": "http://127.0.0.1",
    "another name of the machine": "http://localhost:{port}",
    "no scheme": "{host}",
    "two schemes": "http://http://{host}",
    "file": "file://",
    "several": "{own} https://evil.example",
    "several, foreign first": "https://evil.example, {own}",
    "any": "*",
}


@pytest.mark.parametrize("origin", FOREIGN.values(), ids=FOREIGN)
async def test_a_page_of_another_origin_is_refused(
    service: Service, calm: None, origin: str
) -> None:
    host = service.http.removeprefix("http://")
    said = origin.format(own=service.http, host=host, port=service.port)
    assert await answer_from(service, await service.shown("ann"), [said]) == 403


async def test_the_service_s_own_page_is_welcome(service: Service, calm: None) -> None:
    shown = await service.shown("ann")
    assert await answer_from(service, shown, [service.http]) == "welcome"


ELSEWHERE = {
    "its own": "{own}",
    "null": "null",
    "suffix": "https://app.example.evil.example",
    "suffix without a dot": "https://app.examples",
    "prefix": "https://evilapp.example",
    "subdomain": "https://evil.app.example",
    "parent": "https://example",
    "scheme": "http://app.example",
    "port": "https://app.example:444",
    "another port": "http://localhost:3001",
    "path": "https://app.example/evil",
    "user": "https://app.example@evil.example",
    "one dot is any letter": "https://appxexample",
    "the list": "https://app.example,http://localhost:3000",
}


@pytest.mark.parametrize("origin", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_where_origins_are_named_no_other_is_let_in(listed: Service, origin: str) -> None:
    said = origin.format(own=listed.http)
    assert await answer_from(listed, await listed.shown("ann"), [said]) == 403


@pytest.mark.parametrize("origin", LISTED)
async def test_where_origins_are_named_those_are_welcome(listed: Service, origin: str) -> None:
    assert await answer_from(listed, await listed.shown("ann"), [origin]) == "welcome"


async def test_who_says_two_origins_is_refused(service: Service, calm: None) -> None:
    """By the engine, which takes one, unless the service is the first to see it."""
    own, shown = service.http, await service.shown("ann")
    for origins in ([own, own], [own, "https://evil.example"], ["https://evil.example", own]):
        assert await answer_from(service, shown, origins) in (400, 403), origins


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://app.example", 101),
        ("http://app.example.evil.example", 403),
        ("http://app.examples", 403),
        ("http://app.example:81", 403),
        ("http://evilapp.example", 403),
        ("http://evil.app.example", 403),
        ("http://example", 403),
        ("{own}", 403),
    ],
)
async def test_its_own_page_is_of_the_host_that_was_asked(
    service: Service, calm: None, origin: str, status: int
) -> None:
    async with Stranger.open(service.port) as stranger:
        lines = ["Host: app.example" if line.startswith("Host") else line for line in HANDSHAKE]
        await stranger.say(request(*lines, f"Origin: {origin.format(own=service.http)}"))
        assert (await stranger.hear()).startswith(f"HTTP/1.1 {status} ".encode())


async def test_no_host_makes_no_origin_good(service: Service, calm: None) -> None:
    for origin in ("null", "", "https://"):
        async with Stranger.open(service.port) as stranger:
            lines = ["Host:" if line.startswith("Host") else line for line in HANDSHAKE]
            await stranger.say(request(*lines, f"Origin: {origin}"))
            assert b" 101 " not in await stranger.hear(), origin


async def test_without_an_origin_only_what_browsers_do_not_add_by_themselves_is_welcome(
    service: Service, calm: None
) -> None:
    shown = await service.shown("ann")
    added = "Origin" in shown.headers
    assert await answer_from(service, shown, []) == (403 if added else "welcome")


async def test_a_refused_page_learns_nothing_of_whom_it_came_for(
    service: Service, calm: None
) -> None:
    """The origin comes first: what proves a user is neither looked at nor used up."""
    shown = await service.shown("ann")
    assert await answer_from(service, Shown(), ["https://evil.example"]) == 403
    assert await answer_from(service, shown, ["https://evil.example"]) == 403
    assert await answer_from(service, shown, [service.http]) == "welcome"
