"""Which pages may connect: a table of what browsers say, and of what pretends to be said by one."""

from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus

from app.adapters import AMBIENT
from app.auth.origins import Origins, OriginSettings, canonical
from app.settings import complaints

from ..service import Service, Wire, knock

PAGE = "https://good.example"
TRICKS = (
    "",
    " ",
    "null",
    "*",
    "https://",
    "good.example",
    "//good.example",
    "http://good.example",
    "https://good.example.evil.com",
    "https://evilgood.example",
    "https://evil.com/good.example",
    "https://good.example:443@evil.com",
    "https://user@good.example",
    "https://good.example.",
    "https://.good.example",
    "https://good.example:8443",
    "https://good.example:",
    "https://good.example:0443",
    "https://good.example:443:443",
    "https://good.example:65979",
    "https://good.example/",
    "https://good.example?",
    "https://good.example#",
    "https://good.example\\",
    "https://good.example, https://evil.com",
    "https://good.example https://evil.com",
    "https://GOOD.example",
    "HTTPS://good.example",
    "https://good.example\n",
    "https://good.exampl\u0117",
    "https://[good.example]",
    "wss://good.example",
)


def connection(
    *origins: str, host: str | None = "good.example", scheme: str = "wss"
) -> HTTPConnection:
    """A handshake with so many Origin headers."""
    headers = [(b"origin", origin.encode()) for origin in origins]
    if host is not None:
        headers += [(b"host", each.encode()) for each in host.split("|")]
    scope: dict[str, Any] = {"type": "websocket", "scheme": scheme, "headers": headers}
    return HTTPConnection(scope)


def admitted(*origins: str, to: tuple[str, ...] = (), **options: Any) -> bool:
    """Whether a page may connect that has to say where it is from."""
    return Origins(to).admit(connection(*origins, **options), required=True)


@pytest.mark.parametrize("allowed", [(), (PAGE,)], ids=["own origin", "named origin"])
def test_a_page_is_told_from_those_that_look_like_it(allowed: tuple[str, ...]) -> None:
    assert admitted(PAGE, to=allowed)
    assert admitted(f"{PAGE}:443", to=allowed)
    assert [trick for trick in TRICKS if admitted(trick, to=allowed)] == []


def test_who_says_two_things_is_not_believed() -> None:
    for allowed in ((), (PAGE,)):
        assert not admitted(PAGE, PAGE, to=allowed)
        assert not admitted(PAGE, "https://evil.com", to=allowed)
        assert not admitted("https://evil.com", PAGE, to=allowed)
    assert not admitted(PAGE, host="good.example|evil.com")


def test_without_an_origin_it_is_no_page_that_a_browser_shows() -> None:
    for allowed in ((), (PAGE,)):
        assert Origins(allowed).admit(connection(), required=False)
        assert not Origins(allowed).admit(connection(), required=True)
        assert not Origins(allowed).admit(connection("null"), required=False)


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "may"),
    [
        ("http://localhost:8000", "localhost:8000", "ws", True),
        ("http://localhost:8000", "localhost:8001", "ws", False),
        ("http://localhost:8000", "localhost", "ws", False),
        ("http://localhost", "localhost:80", "ws", True),
        ("http://localhost:80", "localhost", "ws", True),
        ("http://localhost", "localhost:443", "ws", False),
        ("https://good.example", "good.example:443", "wss", True),
        ("https://good.example", "GOOD.example", "wss", True),
        ("https://good.example", "good.example", "ws", True),
        ("https://good.example", "good.example:80", "ws", False),
        ("http://good.example", "good.example", "wss", False),
        ("http://good.example", "good.example", "https", False),
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
        ("http://[::1]:8000", "[0:0::1]:8000", "ws", True),
        ("http://[::1]:8000", "[::2]:8000", "ws", False),
        ("capacitor://localhost", "localhost", "ws", False),
        ("http://localhost", None, "ws", False),
        ("http://localhost", "", "ws", False),
    ],
)
def test_the_own_origin_is_where_the_service_was_asked_for(
    origin: str, host: str | None, scheme: str, may: bool
) -> None:
    assert admitted(origin, host=host, scheme=scheme) is may


def test_where_origins_are_named_the_own_one_is_no_other() -> None:
    assert not admitted("https://here.example", to=(PAGE,), host="here.example")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ()),
        ("https://app.example.com", ("https://app.example.com",)),
        (" HTTPS://App.Example.com:443 ,", ("https://app.example.com",)),
        ("http://localhost:3000,http://a_b", ("http://localhost:3000", "http://a_b")),
        ("http://[0:0:0:0:0:0:0:1]:80", ("http://[::1]",)),
        ("capacitor://localhost", ("capacitor://localhost",)),
    ],
)
def test_origins_are_named_as_people_write_them(
    bare: pytest.MonkeyPatch, written: str, meant: tuple[str, ...]
) -> None:
    bare.setenv("APP_ALLOWED_ORIGINS", written)
    assert OriginSettings().allowed_origins == meant
    assert complaints() == []


@pytest.mark.parametrize(
    "written",
    [
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://user:password@app.example.com",
        "https://app.example.com https://b.example.com",
        "https://app.example.com:99999",
        "https://[::1",
        "https://[1:2]",
        "https://ok.example,*",
    ],
)
def test_what_is_no_origin_is_said_with_what_to_write(
    bare: pytest.MonkeyPatch, written: str
) -> None:
    bare.setenv("APP_ALLOWED_ORIGINS", written)
    (complaint,) = complaints()
    assert complaint.startswith("APP_ALLOWED_ORIGINS: ")
    assert "https://app.example.com" in complaint
    assert "password" not in complaint


def test_an_origin_of_any_length_is_read_in_time() -> None:
    for part in ("a", "a.", "a-", ".", ":", "[", "0:", "https://", "@"):
        begun = monotonic()
        canonical("https://" + part * 20_000 + "!")
        assert monotonic() - begun < 0.2, part


# on a real server


async def status(service: Service, origin: str | None) -> int:
    """What a handshake is answered that shows a user, from a page of this origin."""
    shown = await service.shown("ann")
    headers = {name: value for name, value in shown.headers.items() if name != "Origin"}
    headers |= {} if origin is None else {"Origin": origin}
    try:
        wire = Wire(await knock(service, replace(shown, headers=headers)))
    except InvalidStatus as refused:
        return refused.response.status_code
    async with wire.connection:
        if shown.message is not None:
            await wire.say(**shown.message)
        assert (await wire.hear())["type"] == "welcome"
    return 101


async def test_pages_of_others_are_refused_before_there_is_a_connection(service: Service) -> None:
    own = service.http
    assert await status(service, own) == 101
    for origin in (
        "null",
        "https://evil.example",
        f"{own}.evil.example",
        own.replace("127", "evil127"),
        own.replace("127.0.0.1", "localhost"),
        f"{own}@evil.example",
        f"{own}/",
        own.upper(),
        f"{own}0",
        "",
    ):
        assert await status(service, origin) == 403, origin


async def test_who_says_no_origin_connects_unless_browsers_send_what_proves_the_user(
    service: Service,
) -> None:
    assert await status(service, None) == (403 if AMBIENT else 101)
