"""How often a connection may ask for something, how often in vain, and what a user may publish."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.auth.base import SERVER, Principal
from app.protocol.commands import AnyCommand, Ping, Publish, Subscribe
from app.protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from app.realtime import publishing
from app.realtime.node import Node
from app.realtime.rates import Allowance
from app.settings import Limits

from ..shapes import Frame
from .stage import GatedHistory, connected, open_node, welcomed

PING = Ping(type="ping")
SUBSCRIBE = Subscribe(type="subscribe", channel="talk:x")
HARDLY = 0.001
"""A rate at which nothing is refilled in the time of a test."""


class Clock:
    """A time that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time of the allowances."""
    return Clock()


def spent(allowance: Allowance, command: AnyCommand) -> int:
    """How many such commands are carried out at once."""
    for count in range(10_000):
        try:
            allowance.spend(command)
        except CommandError:
            return count
    raise AssertionError("no end of them")


@pytest.mark.parametrize("rate", [20, 0.1, 3, 7])
def test_so_many_commands_at_once_and_then_one_at_a_time(clock: Clock, rate: float) -> None:
    limits = Limits(commands_per_second=rate, commands_burst=40, max_errors=1_000_000)
    allowance = Allowance(limits, clock)
    assert spent(allowance, PING) == 40
    for _ in range(100):
        with pytest.raises(CommandError) as refused:
            allowance.spend(PING)
        assert refused.value.code is ErrorCode.RATE_LIMITED
        assert refused.value.retry_after == pytest.approx(1 / rate)
        clock.now += refused.value.retry_after or 0
        assert spent(allowance, PING) == 1
    clock.now += 3600 * 24
    assert spent(allowance, PING) == 40


def test_who_does_not_reach_the_rate_is_never_refused(clock: Clock) -> None:
    allowance = Allowance(Limits(commands_per_second=20, commands_burst=1), clock)
    for _ in range(10_000):
        allowance.spend(PING)
        clock.now += 0.05


def test_subscriptions_have_a_budget_of_their_own(clock: Clock) -> None:
    limits = Limits(
        commands_per_second=20, commands_burst=2, subscribes_burst=5, channels_per_connection=1
    )
    allowance = Allowance(limits, clock)
    assert (spent(allowance, SUBSCRIBE), spent(allowance, PING)) == (5, 2)
    clock.now += 0.05
    assert (spent(allowance, SUBSCRIBE), spent(allowance, PING)) == (1, 1)


def blamed(allowance: Allowance, code: ErrorCode) -> int:
    """How many such errors a connection survives; at most 1000."""
    for count in range(1000):
        try:
            allowance.blame(CommandError(code, ""))
        except Disconnect:
            return count
    return 1000


@pytest.mark.parametrize("code", ErrorCode)
def test_a_client_may_do_wrong_so_often_in_a_minute_and_is_blamed_for_nothing_else(
    clock: Clock, code: ErrorCode
) -> None:
    allowance = Allowance(Limits(max_errors=20), clock)
    assert blamed(allowance, code) == (1000 if code.retryable else 20)
    clock.now += 3
    assert blamed(allowance, code) == (1000 if code.retryable else 1)
    clock.now += 60
    assert blamed(allowance, code) == (1000 if code.retryable else 20)


def test_what_was_refused_for_the_rate_counts_and_ends_with_a_code_that_comes_back(
    clock: Clock,
) -> None:
    limits = Limits(commands_per_second=HARDLY, commands_burst=1, max_errors=3)
    allowance = Allowance(limits, clock)
    allowance.spend(PING)
    for _ in range(3):
        with pytest.raises(CommandError):
            allowance.spend(PING)
    with pytest.raises(Disconnect) as ended:
        allowance.spend(PING)
    assert ended.value.code is CloseCode.RATE_LIMITED
    with pytest.raises(Disconnect) as ended:
        allowance.blame(CommandError(ErrorCode.FORBIDDEN, ""))
    assert ended.value.code is CloseCode.TOO_MANY_ERRORS


# on a connection


async def test_a_flood_is_answered_so_far_and_then_cut() -> None:
    async with (
        open_node(commands_per_second=HARDLY, commands_burst=40, max_errors=20) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        for number in range(1000):
            ann.say(type="ping", id=number)
        assert await ann.ended == (4200, "rate limited")
        said = ann.said()
        assert [each["id"] for each in said] == list(range(60))
        assert [each["type"] for each in said] == ["pong"] * 40 + ["error"] * 20
        for refused in said[40:]:
            assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
            assert refused["retry_after_ms"] > 0
        assert (await bob.ask(type="ping"))["type"] == "pong"


async def test_a_refused_command_is_not_carried_out() -> None:
    async with (
        open_node(commands_per_second=HARDLY, commands_burst=2) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        command = {"type": "publish", "channel": "talk:x", "data": {"text": "x"}}
        assert [(await ann.ask(**command))["type"] for _ in range(3)] == ["ok", "ok", "error"]
        assert len((await bob.ask(type="history", channel="talk:x"))["messages"]) == 2
        assert (await ann.ask(type="subscribe", channel="talk:x"))["type"] == "subscribed"


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON",
        b"binary",
        '{"type":"nope"}',
        '{"type":"history","channel":"nowhere:x"}',
        '{"type":"unsubscribe","channel":"talk:x"}',
        '{"type":"publish","channel":"talk:x","data":1}',
    ],
    ids=str,
)
async def test_errors_are_answered_so_often_and_then_they_are_the_end(wrong: str | bytes) -> None:
    async with open_node(max_errors=20) as node, welcomed(node) as ann:
        for _ in range(20):
            ann.say(wrong)
            assert (await ann.hear())["type"] == "error"
        assert (await ann.ask(type="ping"))["type"] == "pong"
        for _ in range(100):
            ann.say(wrong)
        assert await ann.ended == (4507, "too many errors")
        assert ann.said() == []


async def test_keys_that_were_used_for_other_data_are_errors_too() -> None:
    async with open_node(max_errors=3) as node, welcomed(node) as ann:
        for number in range(5):
            ann.say(type="publish", channel="talk:x", data={"text": str(number)}, key="k")
        assert await ann.ended == (4507, "too many errors")


@pytest.mark.parametrize("enough", [20, 21])
async def test_what_is_said_before_the_identity_counts(enough: int) -> None:
    async with open_node(max_errors=20) as node, connected(node) as peer:
        for _ in range(10):
            assert (await peer.ask(type="ping"))["code"] == "unauthenticated"
            peer.say("no JSON")
            assert (await peer.hear())["code"] == "invalid_message"
        if enough == 20:
            assert (await peer.ask(type="auth", token="ann"))["type"] == "welcome"
        peer.say("no JSON")
        assert await peer.ended == (4507, "too many errors")


async def test_a_flood_before_the_identity_is_cut() -> None:
    async with (
        open_node(commands_per_second=HARDLY, commands_burst=5, max_errors=20) as node,
        connected(node) as peer,
    ):
        for _ in range(1000):
            peer.say(type="ping")
        assert await peer.ended == (4200, "rate limited")
        codes = [each["code"] for each in peer.said()]
        assert codes == ["unauthenticated"] * 5 + ["rate_limited"] * 15


async def test_nobody_is_blamed_for_a_store_that_is_away() -> None:
    history = GatedHistory()
    async with open_node(history=history, max_errors=2) as node, welcomed(node) as ann:
        history.away = True
        for _ in range(10):
            assert (await ann.ask(type="history", channel="talk:x"))["code"] == "unavailable"


# what a user publishes


@asynccontextmanager
async def tight() -> AsyncIterator[Node]:
    """A node where a user publishes three times; too often is nobody's error."""
    async with open_node(publishes_per_second=HARDLY, publishes_burst=3, max_errors=1) as node:
        yield node


SAID: Frame = {"type": "publish", "channel": "talk:x", "data": {"text": "x"}}


async def test_a_user_publishes_so_much_over_all_connections_and_others_are_not_concerned() -> None:
    async with tight() as node, welcomed(node) as one, welcomed(node) as two:
        for peer in (one, two, one):
            assert (await peer.ask(**SAID))["type"] == "ok"
        for peer in (one, two, one, two):
            refused = await peer.ask(**SAID)
            assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
            assert refused["retry_after_ms"] > 0
        async with welcomed(node, "bob") as bob:
            assert (await bob.ask(**SAID))["type"] == "ok"
            assert len((await bob.ask(type="history", channel="talk:x"))["messages"]) == 4


async def test_what_is_wrong_uses_nothing_up() -> None:
    async with tight() as node, welcomed(node) as ann:
        assert (await ann.ask(**SAID | {"data": 1}))["code"] == "invalid_message"
        for _ in range(3):
            assert (await ann.ask(**SAID))["type"] == "ok"


async def test_who_has_the_key_publishes_without_end_and_a_user_of_that_name_does_not() -> None:
    async with tight() as node:
        wanted = Publish.model_validate_json(json.dumps(SAID))
        claims = Principal(SERVER.user, scopes=SERVER.scopes)
        for principal in [SERVER] * 10 + [claims] * 3:
            published = await publishing.publish(node, principal, wanted)
            assert not isinstance(await published, CommandError)
        refused = await (await publishing.publish(node, claims, wanted))
        assert isinstance(refused, CommandError)
        assert refused.code is ErrorCode.RATE_LIMITED


def test_who_may_have_so_many_channels_may_come_back_to_all_at_once(clock: Clock) -> None:
    limits = Limits(channels_per_connection=300, subscribes_burst=10, commands_per_second=HARDLY)
    allowance = Allowance(limits, clock)
    for _ in range(300):
        allowance.spend(SUBSCRIBE)
    with pytest.raises(CommandError):
        allowance.spend(SUBSCRIBE)
