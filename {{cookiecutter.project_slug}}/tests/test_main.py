"""The application under a server that somebody else started, and what it needs to start at all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.adapters import AMBIENT
from app.http.websocket import Sockets
from app.main import create_app

from .conftest import Connect
from .service import Service, environment, running

BY_HAND = ("-m", "uvicorn", "app.main:app", "--port", "0", "--log-level", "debug")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`uvicorn app.main:app`, with settings in a file, some of them overruled."""
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / ".env").write_text(
        "APP_ROOMS=from-the-file\nAPP_CHANNELS_PER_CONNECTION=5\nAPP_LOG_FORMAT=console\n"
    )
    settings = {"APP_CHANNELS_PER_CONNECTION": "2", "APP_LOG_FORMAT": None}
    with running(folder, program=BY_HAND, **settings) as service:
        yield service


async def test_it_serves_all_the_same(by_hand: Service, connect: Connect) -> None:
    ann, bob = await connect("ann", to=by_hand), await connect("bob", to=by_hand)
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel="chat:by-hand", presence=True)
    await ann.ask(type="publish", channel="chat:by-hand", data={"text": "hello"})
    assert (await bob.hear_type("message"))["data"] == {"text": "hello"}
    async with by_hand.rest() as http:
        assert (await http.get("/readyz")).status_code == 200


async def test_its_own_logs_are_as_they_were_asked_for(by_hand: Service, connect: Connect) -> None:
    wire = await connect(to=by_hand)
    (line,) = [each for each in by_hand.log.splitlines() if wire.welcome["session"] in each]
    assert "session opened" in line and not line.startswith("{")


async def test_it_logs_no_handshake_and_no_message_though_it_was_told_to_log_all(
    by_hand: Service, connect: Connect
) -> None:
    wire = await connect("ann", "/chat/by-hand?token=canary-in-a-query", to=by_hand)
    await wire.ask(type="publish", channel="chat:by-hand", data={"text": "canary-in-a-text"})
    async with by_hand.rest() as http:
        await http.get("/api/rooms?token=canary-in-a-query")
    assert "canary" not in by_hand.log
    assert '"WebSocket ' not in by_hand.log


async def test_settings_come_from_a_file_unless_the_environment_has_them(
    by_hand: Service, connect: Connect
) -> None:
    wire = await connect(to=by_hand)
    subscribed = await wire.ask(type="subscribe", channel="chat:from-the-file")
    assert subscribed["type"] == "subscribed"
    assert wire.welcome["limits"]["channels"] == 2


def test_what_is_wrong_stops_it_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *BY_HAND],
        cwd=tmp_path,
        env=environment({"APP_ENVIRONMENT": "production", "APP_HISTORY_LENGTH": "x"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "APP_JWT_SECRET is missing" in done.stderr
    assert "APP_HISTORY_LENGTH" in done.stderr
    assert "Traceback" not in done.stderr
    assert "running on" not in done.stderr


# pages of other origins

PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
def open_to_a_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose pages are elsewhere."""
    with running(tmp_path_factory.mktemp("page"), APP_ALLOWED_ORIGINS=f"{PAGE}:443") as service:
        yield service


async def preflight(service: Service, origin: str, **headers: str) -> httpx2.Response:
    """What a browser asks before a page may use REST."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
    async with service.rest({**asked, **headers}) as http:
        return await http.options("/api/connections/x")


async def test_a_page_that_is_named_may_use_rest(open_to_a_page: Service) -> None:
    wanted = {"Access-Control-Request-Headers": "authorization, content-type"}
    answer = await preflight(open_to_a_page, PAGE, **wanted)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert ("access-control-allow-credentials" in answer.headers) is AMBIENT
    async with open_to_a_page.rest({"Origin": PAGE}) as http:
        for path in ("/livez", "/nowhere", "/api/connections"):
            assert (await http.get(path)).headers["access-control-allow-origin"] == PAGE
        large = await http.post("/api/rooms", content=b"x" * 100_000)
        assert (large.status_code, large.headers["access-control-allow-origin"]) == (413, PAGE)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "*", f"{PAGE}.evil.com", "http://app.example.com", f"{PAGE}/"],
)
async def test_no_other_page_may(open_to_a_page: Service, origin: str) -> None:
    answer = await preflight(open_to_a_page, origin)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    async with open_to_a_page.rest({"Origin": origin}) as http:
        assert "access-control-allow-origin" not in (await http.get("/livez")).headers


async def test_a_page_may_not_send_the_key_of_servers(open_to_a_page: Service) -> None:
    wanted = {"Access-Control-Request-Headers": "x-api-key"}
    assert (await preflight(open_to_a_page, PAGE, **wanted)).status_code == 400


async def test_where_none_is_named_pages_elsewhere_may_not(service: Service) -> None:
    answer = await preflight(service, PAGE)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def layers(app: FastAPI) -> list[str]:
    """What a request passes through, the first one first."""
    return [getattr(each.cls, "__name__", "") for each in app.user_middleware]


def test_sockets_do_not_pass_through_what_pages_need_for_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would be one more coroutine for as long as each connection lasts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APP_ALLOWED_ORIGINS", raising=False)
    assert CORSMiddleware.__name__ not in layers(create_app())
    monkeypatch.setenv("APP_ALLOWED_ORIGINS", PAGE)
    outside, inside = Sockets.__name__, CORSMiddleware.__name__
    assert layers(create_app()).index(outside) < layers(create_app()).index(inside)
