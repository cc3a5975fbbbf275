"""What is logged, in which form; and what never is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect as handshake

from .conftest import Connect
from .service import API_KEY, Connected, Service, Wire, running

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
}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that logs all it can."""
    with running(tmp_path_factory.mktemp("talkative"), APP_LOG_LEVEL="debug") as service:
        yield service


async def say_everything(service: Service) -> Connected:
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
    async with handshake(f"{service.ws}?token={CANARIES['query']}") as connection:
        await Wire(connection).ask(type="ping")
    async with handshake(f"{service.ws}/nowhere/x?token={CANARIES['query']}&last=x") as connection:
        await Wire(connection).closed()
    headers = {"Authorization": f"Bearer {CANARIES['header']}"}
    protocols = ["v1.json", CANARIES["subprotocol"]]
    async with handshake(
        service.ws,
        additional_headers=headers,
        subprotocols=protocols,  # type: ignore[arg-type]
    ) as connection:
        await Wire(connection).ask(type="ping")
    async with service.rest() as http:
        path = "/api/channels/chat:canaries/messages"
        body = {"data": {"text": CANARIES["body"]}, "key": "k"}
        await http.post(path, json=body, headers={"X-API-Key": API_KEY})
        await http.post(path, json={"data": CANARIES["body"]}, headers={"X-API-Key": API_KEY})
        await http.post(path, json=body, headers={"X-API-Key": CANARIES["header"]})
        await http.get(path, headers=headers)
        await http.get(f"/api/rooms?token={CANARIES['query']}")
        await http.get("/api/rooms", headers={"Authorization": f"Bearer {wire.token}"})
    return wire


@pytest.mark.parametrize("name", ["service", "talkative"])
async def test_nothing_that_was_said_and_no_credential_is_logged(
    request: pytest.FixtureRequest, name: str
) -> None:
    service: Service = request.getfixturevalue(name)
    wire = await say_everything(service)
    said = {**CANARIES, "credential": wire.token, "signature": wire.token.rpartition(".")[2]}
    assert [what for what, text in said.items() if text in service.log] == []
    assert API_KEY not in service.log
    assert "Traceback" not in service.log


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
