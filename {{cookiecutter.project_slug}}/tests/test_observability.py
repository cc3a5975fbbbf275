"""What is logged, in which form; and what never is."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from time import monotonic
from typing import Any

import httpx2
import pytest
import structlog
from websockets.exceptions import ConnectionClosed

from app.observability import formatter

from .conftest import Connect
from .doors import open_door
from .doors.base import Refused, Shown
from .service import API_KEY, Connected, Service, Wire, knock, running

CANARIES = {
    "text": "canary-in-a-message",
    "key": "canary-in-a-key",
    "kind": "canary_in_a_kind",
    "field": "canary-in-a-field",
    "query": "canary-in-a-query",
    "header": "canary-in-a-header",
    "subprotocol": "canary-in-a-subprotocol",
    "body": "canary-in-a-body",
    "token": "canary-in-a-token",
    "credential": "canary-in-a-credential",
}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that logs all it can."""
    with running(tmp_path_factory.mktemp("talkative"), APP_LOG_LEVEL="debug") as service:
        yield service


BY_HAND = ("-m", "uvicorn", "app.main:app", "--port", "0", "--no-proxy-headers")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that somebody else started, which has an access log of its own."""
    with running(tmp_path_factory.mktemp("by-hand"), program=BY_HAND) as service:
        yield service


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same, told to log all there is."""
    program = (*BY_HAND, "--log-level", "trace")
    with running(tmp_path_factory.mktemp("traced"), program=program) as service:
        yield service


async def ping(service: Service, shown: Shown, path: str = "", **options: Any) -> None:
    """Connect, and say something; the server may not listen."""
    async with await knock(service, shown, path, **options) as connection:
        with suppress(ConnectionClosed):
            await Wire(connection).ask(type="ping")


async def say_everything(service: Service) -> tuple[Connected, Shown]:
    """Everything in which a secret can come."""
    wire = await Connected.open(service, "ann")
    async with wire.connection:
        channel = "chat:canaries"
        await wire.ask(type="subscribe", channel=channel)
        await wire.ask(
            type="publish", channel=channel, data={"text": CANARIES["text"]}, key=CANARIES["key"]
        )
        await wire.ask(type="publish", channel=channel, data={CANARIES["field"]: 1})
        await wire.ask(type="signal", channel=channel, kind=CANARIES["kind"])
        await wire.ask(type="nope", token=CANARIES["token"])
        await wire.ask(type="auth", token=CANARIES["token"])
    shown, nothing = await service.shown("ann"), await service.shown(None)
    for _ in range(2):
        await ping(service, shown)
    with suppress(Refused):
        await ping(service, await open_door().show(service, CANARIES["credential"]))
    await ping(service, nothing, f"?token={CANARIES['query']}")
    await ping(service, shown, f"/nowhere/x?token={CANARIES['query']}&last=x")
    bearer = {"Authorization": f"Bearer {CANARIES['header']}"}
    protocols = ["v1.json", CANARIES["subprotocol"]]
    more = replace(nothing, headers={**nothing.headers, **bearer})
    await ping(service, more, subprotocols=protocols)
    async with service.rest(shown.headers) as http:
        path = "/api/channels/chat:canaries/messages"
        body = {"data": {"text": CANARIES["body"]}, "key": "k"}
        await http.post(path, json=body, headers={"X-API-Key": API_KEY})
        await http.post(path, json={"data": CANARIES["body"]}, headers={"X-API-Key": API_KEY})
        await http.post(path, json=body, headers={"X-API-Key": CANARIES["header"]})
        await http.get(path, headers=bearer)
        await http.get(f"/api/rooms?token={CANARIES['query']}")
        await http.get(f"/nowhere?token={CANARIES['query']}")
        await http.get("/api/rooms", headers={"Authorization": f"Bearer {wire.token}"})
    return wire, shown


@pytest.mark.parametrize("name", ["service", "talkative", "by_hand", "traced"])
async def test_nothing_that_was_said_and_no_credential_is_logged(
    request: pytest.FixtureRequest, name: str
) -> None:
    service: Service = request.getfixturevalue(name)
    wire, shown = await say_everything(service)
    said = {**CANARIES, "proof": wire.token, "signature": wire.token.rpartition(".")[2]}
    said |= shown.query
    assert [what for what, text in said.items() if text in service.log] == []
    assert API_KEY not in service.log
    assert "Traceback" not in service.log
    assert wire.welcome["session"] in service.log, "it logs at all"


@pytest.fixture(params=["console", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """What the logger `canary` wrote, in each form."""
    stream, logger = StringIO(), logging.getLogger("canary")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(request.param))
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False

    def lines() -> str:
        if request.param == "json":
            assert all(json.loads(line)["event"] for line in stream.getvalue().splitlines())
        return stream.getvalue()

    yield lines
    logger.removeHandler(handler)


JWT = "eyJhbGciOiJIUzI1NiJ9.canary.c2lnbmF0dXJl"


def test_a_query_and_a_token_are_not_written_whoever_logs_them(written: Callable[[], str]) -> None:
    library = logging.getLogger("canary")
    ours = structlog.wrap_logger(
        library,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    url = httpx2.URL("https://id.example/keys?key=canary&more=canary")
    library.info('HTTP Request: %s %s "%s %d %s"', "GET", url, "HTTP/1.1", 200, "OK")
    library.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/ws?token=canary", "1.1", 200)
    library.info("a token: %s", JWT)
    ours.info("fetched", url=str(url), headers={"authorization": f"Bearer {JWT}"})
    try:
        raise ValueError(f"cannot fetch {url}: {JWT}")
    except ValueError:
        library.exception("failed")
        ours.exception("failed")
    text = written().replace('"logger": "canary"', "").replace("[canary]", "")
    for kept in (
        "GET https://id.example/keys?",
        "127.0.0.1:1",
        " 200",
        "a token: ",
        "cannot fetch",
    ):
        assert kept in text
    assert text.count("ValueError") >= 2
    assert "canary" not in text.replace(__file__, "")


def test_what_others_chose_is_shown_and_not_obeyed(written: Callable[[], str]) -> None:
    """A terminal would clear lines, turn text around, or show one line as two."""
    hostile = "ann\x1b[2K\x9b31m\u202egnp\u2028\r\n2026 [info] all is well\x07\ud800"
    library = logging.getLogger("canary")
    ours = structlog.wrap_logger(
        library,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    ours.info("session opened", user=hostile, channels=[hostile], error=ValueError(hostile))
    library.info("came: %s", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        ours.exception("failed")
    text = written()
    assert text.count("all is well") == 5
    # What an exception says may have lines; they are not told from those of the traceback.
    assert len([each for each in text.splitlines() if each.startswith("2026 [info]")]) <= 1
    strange = {each for each in text.replace("\n", "") if not each.isprintable()}
    assert strange == set()


def test_what_a_stranger_makes_long_is_written_in_time() -> None:
    """Each of these would take minutes if anything in it were looked at again and again."""
    write = formatter("json")
    for part in ("?", "?=", "eyJ", "-eyJ", ".eyJ", "eyJaaaaaaaa.", "?eyJ"):
        record = logging.LogRecord("canary", logging.INFO, "", 0, part * 100_000, None, None)
        begun = monotonic()
        write.format(record)
        assert monotonic() - begun < 1, part


async def test_every_line_is_json_with_a_time_and_a_level(
    service: Service, connect: Connect
) -> None:
    await connect()
    for line in service.log.splitlines():
        entry = json.loads(line)
        assert entry.keys() >= {"event", "level", "logger", "timestamp"}
        assert entry["timestamp"].endswith("Z")


async def test_every_line_of_a_session_has_its_id(service: Service, connect: Connect) -> None:
    ann, bob = await connect("a newcomer"), await connect("bob")
    await ann.ask(type="nope")
    await ann.connection.close()
    await bob.ask(type="ping")
    closed = await _entry(service, ann, "session closed")
    assert closed["seconds"] >= 0
    (opened,) = [each for each in _entries(service, ann) if each["event"] == "session opened"]
    assert opened["user"] == ann.user
    mine = _entries(service, ann)
    assert [each["event"] for each in mine] == ["session opened", "session closed"]
    assert all("session" in each for each in _all(service) if "session " in each["event"])


async def test_why_a_session_was_ended_is_logged(service: Service, connect: Connect) -> None:
    wire = await connect("ann", "/nowhere/x")
    await wire.closed()
    ended = await _entry(service, wire, "session closed")
    assert ended["code"] == 4508


async def test_in_production_logs_are_json_unless_something_else_was_asked_for(
    production: Service,
) -> None:
    for line in production.log.splitlines():
        assert json.loads(line)["event"]


def _all(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.splitlines()]


def _entries(service: Service, wire: Connected) -> list[dict[str, Any]]:
    """What was logged of a session."""
    return [each for each in _all(service) if each.get("session") == wire.welcome["session"]]


async def _entry(service: Service, wire: Connected, event: str) -> dict[str, Any]:
    """What was logged of a session about an event; the server may not have come to it yet."""
    async with service.rest() as http:
        while not (found := [e for e in _entries(service, wire) if e["event"] == event]):
            await http.get("/livez")
    return found[0]
