"""What no packet told: who was revoked, and which rule changed, is found by looking."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.auth.base import Principal
from app.auth.policy import Policy
from app.auth.revocation import CONTROL
from app.broker.base import Packet
from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.protocol.commands import Json
from app.protocol.errors import Unavailable
from app.realtime import hub
from app.realtime.guard import SLICE, Guard, recheck
from app.realtime.namespaces import Namespace

from .stage import connected, open_node, welcomed

ANN = Principal("ann", token_id="t1")
LATER = datetime.now(UTC) + timedelta(hours=1)
SOON = 0.01


class Deaf(MemoryBroker):
    """Delivers nothing."""

    async def publish(self, packets: Sequence[Packet]) -> None:
        """Lose it."""


class Away(MemoryBroker):
    """Cannot be reached."""

    async def publish(self, packets: Sequence[Packet]) -> None:
        """Raise."""
        raise Unavailable


class Slow(MemoryBroker):
    """Follows a channel once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    async def follow(self, channels: Collection[str]) -> None:
        """Wait, except for what all nodes follow."""
        if CONTROL not in channels:
            await self.opened.wait()
        await super().follow(channels)


class Late(MemoryBroker):
    """Cannot be reached for the first two times."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0
        self.heard = asyncio.Event()

    async def follow(self, channels: Collection[str]) -> None:
        """Raise, then follow."""
        self.tries += 1
        if self.tries < 3:
            raise Unavailable
        await super().follow(channels)
        self.heard.set()


class Counting(MemoryCoordination):
    """Notes how many facts it is asked for, and is away for the second and third question."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.away = away

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The facts, or Unavailable."""
        self.asked.append(len(keys))
        if self.away and len(self.asked) in (2, 3):
            raise Unavailable
        return await super().get(keys)


class Pausing(MemoryCoordination):
    """Answers when it is let, but for a few who are let by."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.let_by = 0

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The facts, as they were when they were asked for."""
        facts = await super().get(keys)
        if self.let_by:
            self.let_by -= 1
        else:
            self.asked.set()
            await self.open.wait()
        return facts


class Recorded:
    """Has on record what it is told to, and may be away."""

    def __init__(self) -> None:
        self.gone: set[str | None] = set()
        self.asked: list[int] = []
        self.away = False

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """Whether the token is among those, or Unavailable."""
        self.asked.append(len(principals))
        if self.away:
            raise Unavailable
        return [each.token_id in self.gone for each in principals]

    async def revoke_token(self, principal: Principal) -> Sequence[Principal]:
        """Nobody does this here."""
        return ()

    async def revoke_user(self, user: str) -> datetime | None:
        """Nobody does this here."""
        return LATER


async def test_a_revocation_that_a_node_was_not_told_of_is_found() -> None:
    for broker in (Deaf(), Away()):
        async with (
            open_node(broker=broker, sweep_seconds=SOON) as node,
            connected(node, ANN) as ann,
            welcomed(node, "bob") as bob,
        ):
            await node.revocations.revoke_user("ann")
            assert await ann.ended == (4504, "revoked")
            assert (await bob.ask(type="ping"))["type"] == "pong"


async def test_a_look_that_fails_is_tried_again(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_node(broker=Deaf(), coordination=Counting(away=True), sweep_seconds=SOON) as node,
        connected(node, ANN) as ann,
    ):
        await ann.hear()
        await node.revocations.revoke_user("ann")
        assert (await ann.ended)[0] == 4504
    said = capsys.readouterr().out + caplog.text  # the one, or the other if logs were configured
    assert "who was revoked cannot be asked for" in said
    assert "failed" not in said


async def test_a_node_that_could_not_listen_at_first_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.01)
    broker = Late()
    async with (
        open_node(broker=broker, sweep_seconds=3600) as node,
        connected(node, ANN) as ann,
    ):
        await ann.hear()
        await broker.heard.wait()
        await node.revocations.revoke_user("ann")
        assert await ann.ended == (4504, "revoked")


async def test_a_rule_that_changed_its_mind_ends_live_subscriptions() -> None:
    banned: set[str] = set()
    fair = Policy(subscribe=lambda principal, channel: principal.user not in banned)
    club = Namespace("club", payload=Json, policy=fair)
    async with (
        open_node(namespaces=[club], sweep_seconds=SOON) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        for each in (ann, bob):
            await each.ask(type="subscribe", channel="club:x")
        banned.add("bob")
        ended = {"type": "unsubscribed", "channel": "club:x", "reason": "policy changed"}
        assert await bob.hear() == ended
        await ann.ask(type="publish", channel="club:x", data="not for bob")
        assert (await bob.ask(type="ping"))["type"] == "pong"
        refused = await bob.ask(type="signal", channel="club:x", kind="typing")
        assert refused["code"] == "not_subscribed"


async def test_who_may_not_see_who_is_there_any_more_is_told_nothing_more() -> None:
    shy: set[str] = set()
    policy = Policy(presence=lambda principal, channel: not shy)
    club = Namespace("club", payload=Json, presence=True, policy=policy)
    async with (
        open_node(namespaces=[club], sweep_seconds=SOON) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.ask(type="subscribe", channel="club:x", presence=True)
        await bob.ask(type="subscribe", channel="club:x")
        while (await ann.hear_type("join"))["user"]["id"] != "bob":
            pass
        shy.add("everybody")
        assert (await ann.hear())["type"] == "unsubscribed"
        refused = await ann.ask(type="subscribe", channel="club:x", presence=True)
        assert (refused["code"], refused["field"]) == ("forbidden", "presence")
        assert (await ann.ask(type="presence", channel="club:x"))["code"] == "forbidden"
        assert (await ann.ask(type="subscribe", channel="club:x"))["type"] == "subscribed"
        assert bob.silent


async def test_a_subscription_that_is_on_its_way_is_left_alone() -> None:
    """It was allowed a moment ago; the next look finds it where it is."""
    broker, allowed = Slow(), [True]
    club = Namespace("club", payload=Json, policy=Policy(subscribe=lambda *_: bool(allowed)))
    async with open_node(broker=broker, namespaces=[club]) as node, welcomed(node) as ann:
        ann.say(type="subscribe", channel="club:x", id="s")
        while "club:x" not in node.hub.channels:
            await asyncio.sleep(0)
        allowed.clear()
        (session,) = node.hub.sessions.values()
        recheck(node.hub, session)
        broker.opened.set()
        assert (await ann.hear())["type"] == "subscribed"
        recheck(node.hub, session)
        assert (await ann.hear())["type"] == "unsubscribed"
        assert node.hub.channels == {}


async def test_who_refreshed_in_the_meantime_is_not_taken_for_who_it_was() -> None:
    coordination = Pausing()
    tokens = {"new": replace(ANN, token_id="t2", expires_at=LATER)}
    async with (
        open_node(coordination=coordination, tokens=tokens, sweep_seconds=3600) as node,
        connected(node, replace(ANN, expires_at=LATER)) as ann,
    ):
        await ann.hear()
        await node.revocations.coordination.put("revoked:token:t1", "", 60)
        coordination.open.clear()
        coordination.asked.clear()
        looking = asyncio.create_task(Guard(node.hub, node.revocations).look())
        await coordination.asked.wait()
        coordination.let_by = 1
        assert (await ann.ask(type="refresh", token="new"))["type"] == "ok"
        coordination.open.set()
        await looking
        assert (await ann.ask(type="ping"))["type"] == "pong"


async def test_others_have_their_turn_while_many_are_looked_at() -> None:
    turns: list[int] = []
    async with open_node(connections_per_user=1000) as node, welcomed(node):
        ((id, session),) = node.hub.sessions.items()
        node.hub.sessions.update({str(number): session for number in range(3 * SLICE)})
        looking = asyncio.create_task(Guard(node.hub, node.revocations).look())
        while not looking.done():
            turns.append(1)
            await asyncio.sleep(0)
        node.hub.sessions.clear()
        node.hub.sessions[id] = session
    assert len(turns) >= 4


async def test_many_are_looked_at_in_slices() -> None:
    coordination = Counting()
    async with open_node(coordination=coordination) as node, welcomed(node):
        ((id, session),) = node.hub.sessions.items()
        others = {str(number): session for number in range(SLICE)}
        node.hub.sessions.update(others)
        coordination.asked.clear()
        await Guard(node.hub, node.revocations).look()
        node.hub.sessions.clear()
        node.hub.sessions[id] = session
    assert coordination.asked == [2 * SLICE, 2]


async def test_a_revocation_that_is_on_record_is_found_and_asked_for_in_slices() -> None:
    record = Recorded()
    async with (
        open_node(record=record, sweep_seconds=3600, connections_per_user=1000) as node,
        connected(node, ANN) as ann,
        connected(node, Principal("bob", token_id="t2")) as bob,
    ):
        for each in (ann, bob):
            await each.hear()
        session = next(iter(node.hub.sessions.values()))
        others = {str(number): session for number in range(SLICE - 1)}
        node.hub.sessions.update(others)
        record.gone.add("t1")
        record.asked.clear()
        await Guard(node.hub, node.revocations).look()
        assert record.asked == [SLICE, 1]
        assert await ann.ended == (4504, "revoked")
        assert (await bob.ask(type="ping"))["type"] == "pong"
        for number in others:
            node.hub.sessions.pop(number, None)


async def test_nothing_is_asked_for_of_who_shows_no_token() -> None:
    record = Recorded()
    async with open_node(record=record, sweep_seconds=3600) as node, welcomed(node):
        await Guard(node.hub, node.revocations).look()
        assert record.asked == []


async def test_while_the_record_is_away_all_else_is_found_and_later_what_is_on_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    record = Recorded()
    async with (
        open_node(broker=Deaf(), record=record, sweep_seconds=SOON) as node,
        connected(node, ANN) as ann,
        connected(node, Principal("bob", token_id="t2")) as bob,
    ):
        for each in (ann, bob):
            await each.hear()
        record.away = True
        record.gone.add("t2")
        await node.revocations.coordination.put("revoked:token:t1", "", 60)
        assert await ann.ended == (4504, "revoked")
        assert (await bob.ask(type="ping"))["type"] == "pong"
        record.asked.clear()
        while not record.asked:
            await asyncio.sleep(SOON)
        record.away = False
        assert await bob.ended == (4504, "revoked")
    said = capsys.readouterr().out + caplog.text
    assert "who was revoked cannot be asked for" in said
