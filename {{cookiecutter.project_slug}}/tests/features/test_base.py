"""The hooks of a feature on a real server: over the socket, on a path of their own, over REST."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Connect
from ..service import API_KEY, Service, running

ROOT = Path(__file__).parents[2]
PROGRAM = ("-m", "uvicorn", "--app-dir", str(ROOT), "tests.features.rules:app", "--port", "0")


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with one more feature."""
    with running(tmp_path_factory.mktemp("ruled"), program=PROGRAM) as service:
        yield service


async def test_who_is_refused_may_not_subscribe_nor_read(connect: Connect, ruled: Service) -> None:
    wire = await connect(to=ruled)
    for command in ("subscribe", "history", "presence"):
        refused = await wire.ask(type=command, channel="rules:closed")
        assert (refused["code"], refused["field"]) == ("forbidden", "channel")
        assert (await wire.ask(type=command, channel="rules:open"))["type"] != "error"


async def test_nor_on_a_path(connect: Connect, ruled: Service) -> None:
    inside = await connect("ann", "/rules/open", to=ruled)
    assert (await inside.hear())["type"] == "subscribed"
    outside = await connect("ann", "/rules/closed", to=ruled)
    assert await outside.closed() == (4508, "forbidden")


@pytest.mark.parametrize("what", ["messages", "presence"])
async def test_nor_over_rest(ruled: Service, what: str) -> None:
    async with ruled.rest({"X-API-Key": API_KEY}) as http:
        assert (await http.get(f"/api/channels/rules:open/{what}")).status_code == 200
        refused = await http.get(f"/api/channels/rules:closed/{what}")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_what_is_published_is_asked_about_on_both_ways(
    connect: Connect, ruled: Service
) -> None:
    ann = await connect(to=ruled)
    await ann.ask(type="subscribe", channel="rules:both")
    refused = await ann.ask(type="publish", channel="rules:both", data={"text": "refuse"})
    assert (refused["code"], refused["field"]) == ("forbidden", "data.text")
    await ann.say(type="publish", channel="rules:both", data={"text": "tell"})
    heard = await ann.hear_type("message")
    node = ann.welcome["node"]
    assert heard["data"]["text"].startswith(f"{ann.user} {node} as it was ")

    path = "/api/channels/rules:both/messages"
    async with ruled.rest({"X-API-Key": API_KEY}) as http:
        response = await http.post(path, json={"data": {"text": "refuse"}})
        assert (response.status_code, response.json()["field"]) == (403, "data.text")
        response = await http.post(path, json={"data": {"text": "tell"}})
        assert (response.status_code, response.json()["offset"]) == (201, 2)
    while (heard := await ann.hear_type("message"))["offset"] != 2:
        pass
    assert heard["data"]["text"].startswith(f"server {node} as it was ")


async def test_overrides_hold_until_they_are_forgotten(connect: Connect, ruled: Service) -> None:
    ann = await connect(to=ruled)
    await ann.ask(type="subscribe", channel="rules:overrides")
    for end in ("as it was overridden", "as it was declared"):
        await ann.say(type="publish", channel="rules:overrides", data={"text": "tell"})
        said = (await ann.hear_type("message"))["data"]["text"]
        assert said == f"{ann.user} {ann.welcome['node']} {end}"
        async with ruled.rest() as http:
            await http.delete("/overrides")


async def test_a_mistake_is_logged_and_ends_no_connection(connect: Connect, ruled: Service) -> None:
    ann = await connect(to=ruled)
    refused = await ann.ask(type="publish", channel="rules:mistake", data={"text": "fail"})
    assert refused["code"] == "internal"
    lines = [json.loads(line) for line in ruled.log.splitlines() if "a hook failed" in line]
    (line,) = [each for each in lines if each.get("session") == ann.welcome["session"]]
    assert line["channel"] == "rules:mistake"
    assert "KeyError: 'planted'" in line["exception"]
    sent = await ann.ask(type="publish", channel="rules:mistake", data={"text": "hello"})
    assert (sent["type"], sent["offset"]) == ("ok", 1)
    async with ruled.rest({"X-API-Key": API_KEY}) as http:
        path = "/api/channels/rules:mistake/messages"
        response = await http.post(path, json={"data": {"text": "fail"}})
        assert (response.status_code, response.json()["code"]) == (500, "internal")
