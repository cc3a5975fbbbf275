"""Who somebody is, is what the server found out; what is said about it changes nothing."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from ..conftest import Connect
from ..doors import open_door
from ..service import Service, Wire, knock
from .entry import answer_to

ANN = {"id": "ann", "name": "Ann"}
CLAIMED = {
    "from": ANN,
    "sender": ANN,
    "user": ANN,
    "principal": "ann",
    "scopes": ["admin"],
    "message_id": "0" * 32,
    "sent_at": "2001-01-01T00:00:00Z",
    "epoch": "e",
    "offset": 1,
}
"""What only the server says."""


@pytest.mark.parametrize("field", CLAIMED)
async def test_a_command_does_not_say_who_gives_it(
    connect: Connect, channel: str, field: str
) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel=channel)
    commands: list[dict[str, Any]] = [
        {"type": "publish", "data": {"text": "x"}},
        {"type": "signal", "kind": "typing"},
        {"type": "subscribe"},
        {"type": "presence"},
    ]
    for command in commands:
        refused = await bob.ask(**command, channel=channel, **{field: CLAIMED[field]})
        assert refused["code"] == "invalid_message", command
    assert await ann.heard() == []
    assert (await ann.ask(type="history", channel=channel))["messages"] == []


async def test_what_is_said_inside_is_said_by_who_says_it(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask(type="subscribe", channel="echo:spoofed")
    await bob.ask(type="subscribe", channel="echo:spoofed")
    await bob.say(type="publish", channel="echo:spoofed", data=CLAIMED)
    message = await ann.hear_type("message")
    assert (message["from"], message["data"]) == (bob.welcome["user"], CLAIMED)
    assert message["message_id"] != CLAIMED["message_id"]
    assert message["sent_at"] > "2020" and "offset" not in message
    await bob.say(type="signal", channel="echo:spoofed", kind="typing", data=CLAIMED)
    signal = await ann.hear_type("signal")
    assert (signal["from"], signal["data"]) == (bob.welcome["user"], CLAIMED)


async def test_a_payload_with_a_sender_is_none(connect: Connect, channel: str) -> None:
    bob = await connect("bob")
    await bob.ask(type="subscribe", channel=channel)
    for field, value in CLAIMED.items():
        data = {"text": "x", field: value}
        refused = await bob.ask(type="publish", channel=channel, data=data)
        assert (refused["code"], refused["field"]) == ("invalid_message", f"data.{field}")


async def test_presence_shows_who_somebody_is(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await bob.ask(type="subscribe", channel=channel)
    assert (await bob.ask(type="subscribe", channel=channel, user=ANN))["type"] == "error"
    roster = await ann.ask(type="presence", channel=channel)
    assert roster["users"] == [bob.welcome["user"]]


async def test_over_rest_it_is_the_same(
    server_side: httpx2.AsyncClient, connect: Connect, channel: str
) -> None:
    bob = await connect("bob")
    await bob.ask(type="subscribe", channel=channel)
    path = f"/api/channels/{channel}/messages"
    for field, value in CLAIMED.items():
        body = {"data": {"text": field}, field: value}
        answer = await server_side.post(path, json=body, params={"user": "ann"})
        if answer.status_code == 422:
            continue
        message = await bob.hear_type("message")
        assert message["from"] == {"id": "server"}, field
        assert message["message_id"] != CLAIMED["message_id"]
        assert message["sent_at"] > "2020"
        assert (message["epoch"], message["offset"]) == (
            answer.json()["epoch"],
            answer.json()["offset"],
        )


async def test_a_user_does_not_publish_as_a_server(
    service: Service, connect: Connect, channel: str
) -> None:
    bob = await connect("bob")
    await bob.ask(type="subscribe", channel=channel)
    async with service.rest({"Authorization": f"Bearer {bob.token}"}) as http:
        path = f"/api/channels/{channel}/messages"
        answer = await http.post(path, json={"data": {"text": "x"}})
    assert answer.status_code == 403
    assert await bob.heard() == []


@pytest.mark.parametrize("name", ["X-User", "X-Forwarded-User", "X-Remote-User", "Remote-User"])
async def test_headers_and_queries_name_nobody(service: Service, calm: None, name: str) -> None:
    shown = await service.shown("bob")
    headers, query = {**shown.headers, name: "ann"}, {**shown.query, "user": "ann", "sub": "ann"}
    wire = Wire(await knock(service, replace(shown, headers=headers, query=query)))
    async with wire.connection:
        if shown.message is not None:
            await wire.say(**shown.message)
        assert (await wire.hear())["user"]["id"] != "ann"


async def test_what_is_shown_cannot_be_changed(service: Service, calm: None) -> None:
    """A letter more, a letter less, another case, or nothing: it is nobody's then."""
    for change in (_longer, _shorter, _other_case, _empty):
        shown = await service.shown("ann")
        changed = replace(
            shown,
            query={name: change(each) for name, each in shown.query.items()},
            headers={
                name: each if name == "Origin" else change(each)
                for name, each in shown.headers.items()
            },
            message=shown.message and {**shown.message, "token": change(shown.message["token"])},
        )
        if changed == shown:
            return  # nothing was shown
        refusals = open_door().refusals
        expected = refusals.no_token if change is _empty else refusals.spoilt
        assert await answer_to(service, changed) == expected


def _longer(text: str) -> str:
    return f"{text}A"


def _shorter(text: str) -> str:
    return text[:-2]


def _other_case(text: str) -> str:
    head, equals, tail = text.rpartition("=")
    return f"{head}{equals}{tail.swapcase()}"


def _empty(text: str) -> str:
    return "".join(text.rpartition("=")[:2])
