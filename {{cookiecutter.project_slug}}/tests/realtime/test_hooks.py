"""What a feature is asked before an operation, what it may answer, and what its mistakes do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from app.auth.base import Principal
from app.auth.policy import Policy, scope
from app.protocol.commands import Subscribe
from app.protocol.errors import CommandError, ErrorCode
from app.realtime.hooks import Hook, Operation
from app.realtime.namespaces import Namespace
from app.realtime.node import Node

from .stage import connected, open_node, welcomed

READING = ("subscribe", "history", "presence")


class Vote(BaseModel):
    """What is published to `votes:`."""

    choice: str


async def forbid(operation: Operation) -> None:
    """Refuse everything."""
    raise CommandError(ErrorCode.FORBIDDEN, "not today", field="channel")


async def fail(operation: Operation) -> None:
    """Make a mistake."""
    raise KeyError("planted")


async def expire(operation: Operation) -> None:
    """Wait for a store that does not answer."""
    raise TimeoutError


async def never(operation: Operation) -> None:
    """Take for ever."""
    await asyncio.Event().wait()


@asynccontextmanager
async def asking(
    on_subscribe: Hook | None = None,
    on_publish: Hook | None = None,
    *,
    durable: bool = True,
    listed: bool = False,
    policy: Policy | None = None,
    **limits: Any,
) -> AsyncIterator[Node]:
    """A node that asks these hooks."""
    votes = Namespace(
        "votes",
        payload=Vote,
        durable=durable,
        presence=True,
        listed=listed,
        policy=policy or Policy(),
        on_subscribe=on_subscribe,
        on_publish=on_publish,
    )
    async with open_node(namespaces=(votes,), **limits) as node:
        yield node


def vote(choice: str, **more: Any) -> dict[str, Any]:
    """The command that publishes a vote."""
    return {"type": "publish", "channel": "votes:x", "data": {"choice": choice}, **more}


async def test_a_hook_is_told_who_is_about_to_do_what_where() -> None:
    asked: list[Operation] = []

    async def note(operation: Operation) -> None:
        asked.append(operation)

    async with asking(note, note) as node, welcomed(node) as ann:
        await ann.ask(**vote("yes"))
        for command in READING:
            await ann.ask(type=command, channel="votes:x")
        ann_herself = Principal("ann")
        assert asked == [
            Operation(node, ann_herself, "votes:x", Vote(choice="yes")),
            *[Operation(node, ann_herself, "votes:x")] * 3,
        ]


@pytest.mark.parametrize("command", READING)
async def test_who_may_not_subscribe_reads_nothing_either(command: str) -> None:
    async with asking(forbid) as node, welcomed(node) as ann:
        refused = await ann.ask(type=command, channel="votes:x")
        assert (refused["code"], refused["message"]) == ("forbidden", "not today")
        assert refused["field"] == "channel"
        assert not node.hub.channels
        assert (await ann.ask(**vote("yes")))["type"] == "ok"


@pytest.mark.parametrize("durable", [True, False])
async def test_what_is_refused_is_not_published(durable: bool) -> None:
    async with (
        asking(on_publish=forbid, durable=durable) as node,
        welcomed(node, "bob") as bob,
        welcomed(node) as ann,
    ):
        await bob.ask(type="subscribe", channel="votes:x")
        assert (await ann.ask(**vote("yes")))["code"] == "forbidden"
        assert (await ann.ask(type="history", channel="votes:x"))["messages"] == []
        bob.say(type="ping", id="then")
        assert (await bob.hear())["type"] == "pong"


async def test_what_is_refused_anyway_is_not_asked_about() -> None:
    """Policy comes first, then whether the channel exists, then whether the data is a payload."""
    policy = Policy(subscribe=scope("vote"), publish=scope("vote"))
    async with asking(fail, fail, policy=policy) as node, welcomed(node) as ann:
        for command in READING:
            assert (await ann.ask(type=command, channel="votes:x"))["code"] == "forbidden"
        assert (await ann.ask(**vote("yes")))["code"] == "forbidden"
    async with asking(fail, fail, listed=True) as node, welcomed(node) as ann:
        for command in READING:
            assert (await ann.ask(type=command, channel="votes:x"))["code"] == "unknown_channel"
        assert (await ann.ask(**vote("yes")))["code"] == "unknown_channel"
    async with asking(fail, fail) as node, welcomed(node) as ann:
        refused = await ann.ask(type="publish", channel="votes:x", data={})
        assert (refused["code"], refused["field"]) == ("invalid_message", "data.choice")


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(
    ("answer", "published"),
    [
        (None, {"choice": "yes"}),
        (Vote(choice="no"), {"choice": "no"}),
        ({"choice": "perhaps"}, {"choice": "perhaps"}),
    ],
    ids=str,
)
async def test_what_a_hook_returns_is_published_instead(
    answer: object, published: object, durable: bool
) -> None:
    async def revise(operation: Operation) -> object:
        operation.data.choice = "changed in place, which is no answer"
        return answer

    async with asking(on_publish=revise, durable=durable) as node, welcomed(node) as ann:
        await ann.ask(type="subscribe", channel="votes:x")
        ann.say(**vote("yes"))
        assert (await ann.hear_type("message"))["data"] == published


async def test_a_key_stands_for_what_was_said_not_for_what_was_made_of_it() -> None:
    numbers = iter(range(3))

    async def number(operation: Operation) -> Vote:
        return Vote(choice=f"{operation.data.choice} {next(numbers)}")

    async with asking(on_publish=number) as node, welcomed(node) as ann:
        await ann.ask(type="subscribe", channel="votes:x")
        replies = [await ann.ask(**vote(choice, key="k")) for choice in ("yes", "yes", "no")]
        assert [reply.get("duplicate") for reply in replies] == [False, True, None]
        assert replies[2]["code"] == "conflict"
        (message,) = (await ann.ask(type="history", channel="votes:x"))["messages"]
        assert message["data"] == {"choice": "yes 0"}


async def nonsense(operation: Operation) -> object:
    """Return what is no payload."""
    return {"choice": 1}


@pytest.mark.parametrize("mistake", [fail, expire, nonsense])
async def test_a_mistake_of_a_hook_refuses_the_command_and_nothing_else(mistake: Hook) -> None:
    async with asking(None, mistake) as node, welcomed(node) as ann:
        await ann.ask(type="subscribe", channel="votes:x")
        refused = await ann.ask(**vote("yes"))
        assert (refused["code"], refused["retryable"]) == ("internal", True)
        assert "planted" not in refused["message"]
        assert "field" not in refused
        page = await ann.ask(type="history", channel="votes:x")
        assert page["messages"] == []


async def test_a_hook_that_takes_too_long_is_ended() -> None:
    async with asking(never, never, command_seconds=0.05) as node, welcomed(node) as ann:
        assert (await ann.ask(**vote("yes")))["code"] == "timeout"
        assert (await ann.ask(type="subscribe", channel="votes:x"))["code"] == "timeout"
        assert not node.hub.channels


async def test_what_is_sent_at_once_is_published_in_order_however_long_hooks_take() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hold_the_first(operation: Operation) -> None:
        if operation.data.choice == "0":
            asked.set()
            await go_on.wait()

    async with (
        asking(on_publish=hold_the_first) as node,
        welcomed(node, "bob") as bob,
        welcomed(node) as ann,
    ):
        await bob.ask(type="subscribe", channel="votes:x")
        for number in range(5):
            ann.say(**vote(str(number)))
        await asked.wait()
        bob.say(type="ping", id="meanwhile")
        assert (await bob.hear())["type"] == "pong"
        go_on.set()
        heard = [(await bob.hear_type("message"))["data"]["choice"] for _ in range(5)]
        assert heard == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("hook", "close"), [(forbid, (4508, "forbidden")), (fail, (4004, "internal error"))]
)
async def test_a_connection_for_one_channel_ends_where_it_is_refused(
    hook: Hook, close: tuple[int, str]
) -> None:
    first = Subscribe(type="subscribe", channel="votes:x")
    async with asking(hook) as node, connected(node, Principal("ann"), first) as peer:
        assert await peer.ended == close
