"""Whatever a client says, it is answered, and nobody else notices."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.auth.base import Principal
from app.protocol.codec import decode
from app.protocol.commands import Subscribe
from app.protocol.errors import CommandError, Unavailable
from app.realtime.connection import serve

from ..conftest import Connect
from ..protocol.malformed import CANARY, MALFORMED, ROOM
from ..service import Connected, Service
from ..shapes import Frame
from .stage import Peer, connected, open_node


async def test_a_message_that_is_no_command_is_answered_and_costs_nobody_anything(
    service: Service, connect: Connect
) -> None:
    mallory, witness = await connect("mallory"), await connect("ann")
    for wire in (mallory, witness):
        await wire.ask(type="subscribe", channel=ROOM)
    log = len(service.log)

    for malformed in MALFORMED:
        await mallory.connection.send(malformed.text)
        answer = await mallory.hear()
        assert answer["type"] == "error", malformed.name
        assert (answer["code"], answer.get("id")) == (malformed.code, malformed.id), malformed.name
        assert CANARY not in answer["message"], malformed.name
        assert (await mallory.ask(type="ping"))["type"] == "pong", malformed.name

    await mallory.connection.send(f'{{"type":"ping","id":"{CANARY}"}}'.encode())
    assert (await mallory.hear())["code"] == "unsupported"
    await mallory.ask(type="publish", channel=ROOM, data={"text": "well-formed"})
    assert (await witness.hear_type("message"))["data"] == {"text": "well-formed"}
    assert not [each for each in await witness.heard() if each["type"] == "message"]
    assert "Traceback" not in service.log[log:]
    assert CANARY not in service.log[log:]


# arbitrary input, many messages per connection since a connection is what takes time

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
KEPT = "chat:arbitrary"
COMMANDS: list[Frame] = [
    {"type": "subscribe", "channel": KEPT, "since": {"epoch": "e", "offset": 3}, "last": 5},
    {"type": "subscribe", "channel": KEPT, "presence": True},
    {"type": "unsubscribe", "channel": KEPT},
    {"type": "publish", "channel": KEPT, "data": {"text": "hello"}, "key": "k"},
    {"type": "signal", "channel": KEPT, "kind": "typing", "data": {"a": 1}},
    {"type": "history", "channel": KEPT, "after": 3, "epoch": "e", "limit": 5},
    {"type": "presence", "channel": KEPT},
    {"type": "ping"},
]


@st.composite
def mutated(draw: st.DrawFn) -> Frame:
    """A command of which a part was replaced, added or taken away."""
    command = dict(draw(st.sampled_from(COMMANDS)))
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from([*command, "type", "channel", "data"]) | TEXTS)
        if draw(st.booleans()):
            command.pop(field, None)
        else:
            command[field] = draw(VALUES | st.sampled_from([KEPT, "chat:", "*", "nope:x"]))
    return command


ARBITRARY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused(text: str) -> bool:
    """Whether this is no command; Hypothesis takes words from our sources, and finds some."""
    try:
        decode(text)
    except CommandError:
        return True
    return False


REFUSED = (TEXTS | VALUES.map(json.dumps)).filter(refused)


@ARBITRARY
@given(messages=st.lists(REFUSED, min_size=1, max_size=40))
def test_arbitrary_text_is_answered_with_one_error_each(
    service: Service, calm: None, messages: list[str]
) -> None:
    async def attempt() -> None:
        wire = await Connected.open(service, "mallory")
        async with wire.connection:
            for message in messages:
                await wire.connection.send(message)
            assert [each["type"] for each in await wire.heard()] == ["error"] * len(messages)

    asyncio.run(attempt())


@ARBITRARY
@given(commands=st.lists(mutated(), min_size=1, max_size=40))
def test_mutated_commands_have_one_reply_each_and_subscribers_get_what_was_taken(
    service: Service, calm: None, commands: list[Frame]
) -> None:
    async def attempt() -> None:
        mallory = await Connected.open(service, "mallory")
        witness = await Connected.open(service, "ann")
        async with mallory.connection, witness.connection:
            start = await witness.ask(type="subscribe", channel=KEPT)
            replies = [
                await mallory.ask(**{**command, "id": number})
                for number, command in enumerate(commands)
                if command.get("type") != "pong"
            ]
            taken = [
                reply["offset"]
                for reply in replies
                if reply.get("duplicate") is False and reply["channel"] == KEPT
            ]
            heard = [(await witness.hear_type("message"))["offset"] for _ in taken]
            assert heard == taken
            assert not [each for each in await witness.heard() if each["type"] == "message"]
            assert taken == list(range(start["offset"] + 1, start["offset"] + 1 + len(taken)))

    asyncio.run(attempt())


# identity first


async def test_before_an_identity_nothing_else_is_done() -> None:
    async with open_node() as node, connected(node) as peer:
        for command in ({"type": "ping"}, {"type": "publish", "channel": "talk:x", "data": 1}):
            refused = await peer.ask(**command)
            assert refused["code"] == "unauthenticated"
        peer.say("no JSON")
        assert (await peer.hear())["code"] == "invalid_message"
        assert node.hub.sessions == {}
        welcome = await peer.ask(type="auth", token="ann", id="a")
        assert (welcome["type"], welcome["user"]["id"]) == ("welcome", "ann")
        assert len(node.hub.sessions) == 1


async def test_a_false_identity_is_the_end() -> None:
    async with open_node() as node, connected(node) as peer:
        peer.say(type="auth", token="forged")
        assert await peer.ended == (4500, "unauthenticated")


async def test_an_identity_is_awaited_for_a_limited_time() -> None:
    async with open_node(auth_seconds=0.01) as node, connected(node) as peer:
        assert await peer.ended == (4501, "authentication timed out")


async def test_who_has_an_identity_is_not_cut_by_the_time_limit_for_it() -> None:
    async with open_node(auth_seconds=0.01) as node, connected(node, Principal("ann")) as ann:
        async with connected(node) as late:
            await late.ended
        assert (await ann.ask(type="ping"))["type"] == "pong"


async def test_who_left_is_forgotten() -> None:
    async with open_node() as node:
        async with connected(node, Principal("ann")) as peer:
            await peer.ask(type="subscribe", channel="talk:x", presence=True)
            assert len(node.hub.sessions) == 1
        assert node.hub.sessions == {}
        assert node.hub.channels == {}


# what goes wrong inside


class Broken(RuntimeError):
    """What nobody foresaw."""


async def test_an_unforeseen_failure_ends_one_connection_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        open_node() as node,
        connected(node, Principal("ann")) as ann,
        connected(node, Principal("bob")) as bob,
    ):

        async def fail(*_: Any, **__: Any) -> None:
            raise Broken

        monkeypatch.setattr(node.hub.history, "read", fail)
        ann.say(type="history", channel="talk:x")
        assert (await ann.ended)[0] == 4004
        assert (await bob.ask(type="ping"))["type"] == "pong"


async def test_what_is_asked_for_by_the_path_comes_after_the_welcome() -> None:
    wanted = Subscribe(type="subscribe", channel="talk:x")
    async with open_node() as node, connected(node, Principal("ann"), wanted) as peer:
        assert (await peer.hear())["type"] == "welcome"
        subscribed = await peer.hear()
        assert subscribed["type"] == "subscribed" and "id" not in subscribed


async def test_who_cannot_be_looked_up_now_may_come_back(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def identify() -> Principal | None:
        raise Unavailable

    async with open_node() as node:
        peer = Peer()
        await serve(node, peer, peer.inbox, identify, None)
        assert await peer.ended == (4004, "internal error")
        assert peer.said() == []
    assert "session failed" not in capsys.readouterr().out + caplog.text
