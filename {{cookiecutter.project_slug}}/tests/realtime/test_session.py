"""A session's commands when the parts below are slow or gone, and its end."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.auth.base import Principal
from app.auth.policy import Policy, scope
from app.coordination.memory import MemoryCoordination
from app.history.base import Draft, Page, Receipt
from app.history.memory import MemoryHistory
from app.protocol.commands import Json, Subscribe
from app.protocol.errors import CloseCode, CommandError, Unavailable
from app.realtime.namespaces import Namespace
from app.realtime.session import notice_seconds

from .stage import TALK, GatedHistory, connected, open_node, welcomed


class Deciding(MemoryHistory):
    """Stores what it is given once it may."""

    def __init__(self) -> None:
        super().__init__(length=10, seconds=3600)
        self.decided, self.asked_to_store = asyncio.Event(), asyncio.Event()
        self.reads = 0

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        """Store them, later."""
        self.asked_to_store.set()
        await self.decided.wait()
        return await super().append(drafts)

    async def read(self, channel: str, **window: Any) -> Page:
        """Read, and count that."""
        self.reads += 1
        return await super().read(channel, **window)


class Away(MemoryCoordination):
    """Cannot be reached at times."""

    away = False

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The facts, or Unavailable."""
        if self.away:
            raise Unavailable
        return await super().get(keys)


NEWS = Namespace("news", payload=Json, policy=Policy(subscribe=scope("read"), publish=scope("say")))


def until(seconds: float, user: str = "ann", *scopes: str) -> Principal:
    """Somebody whose credential is good for so long."""
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    token_id = f"{user} for {seconds} s"
    return Principal(user, scopes=frozenset(scopes), token_id=token_id, expires_at=end)


async def test_a_command_that_takes_too_long_may_be_tried_again() -> None:
    history = GatedHistory()
    async with open_node(history=history, command_seconds=0.01) as node, welcomed(node) as ann:
        history.open.clear()
        refused = await ann.ask(type="history", channel="talk:x")
        assert (refused["code"], refused["retryable"]) == ("timeout", True)
        history.open.set()
        assert (await ann.ask(type="history", channel="talk:x"))["type"] == "history"


async def test_a_subscription_that_took_too_long_does_not_exist() -> None:
    history = GatedHistory()
    async with open_node(history=history, command_seconds=0.01) as node, welcomed(node) as ann:
        history.open.clear()
        refused = await ann.ask(type="subscribe", channel="talk:x", last=5)
        assert refused["code"] == "timeout"
        assert node.hub.channels == {}
        history.open.set()
        subscribed = await ann.ask(type="subscribe", channel="talk:x", last=5)
        assert subscribed["type"] == "subscribed"


async def test_a_store_that_cannot_be_reached_may_be_tried_again() -> None:
    history = GatedHistory()
    async with open_node(history=history) as node, welcomed(node) as ann:
        history.away = True
        refused = await ann.ask(type="history", channel="talk:x")
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        history.away = False
        assert (await ann.ask(type="history", channel="talk:x"))["type"] == "history"


async def test_a_path_that_cannot_be_served_now_comes_back() -> None:
    """4000-4499 come back; 4508 would keep the client away for ever."""
    history = GatedHistory()
    history.away = True
    wanted = Subscribe(type="subscribe", channel="talk:x", last=5)
    async with (
        open_node(history=history) as node,
        connected(node, Principal("ann"), wanted) as peer,
    ):
        await peer.hear()
        refused = await peer.hear()
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        code, _ = await peer.ended
        assert 4000 <= code < 4500


async def test_a_connection_ends_with_its_credential() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    async with (
        open_node() as node,
        connected(node, Principal("ann", expires_at=soon)) as ann,
        welcomed(node, "bob") as bob,
    ):
        welcome = await ann.hear()
        assert datetime.fromisoformat(welcome["expires_at"]) == soon
        assert await ann.hear() == {"type": "expiring", "in_ms": pytest.approx(40, abs=2)}
        assert await ann.ended == (4100, "credential expired")
        assert datetime.now(UTC) >= soon
        assert (await bob.ask(type="ping"))["type"] == "pong"


async def test_a_credential_that_has_expired_lasts_no_longer() -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    async with open_node() as node, connected(node, Principal("ann", expires_at=past)) as ann:
        assert (await ann.ended)[0] == 4100


async def test_a_session_that_ended_leaves_no_deadline_behind() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    async with open_node() as node:
        async with connected(node, Principal("ann", expires_at=soon)) as ann:
            await ann.hear()
        async with connected(node, Principal("bob", expires_at=soon)) as bob:
            await bob.ended
        assert not ann.ended.done()


async def test_what_does_not_fit_the_answer_waits_for_the_peer() -> None:
    """The rest of a recovery is read only as fast as the peer takes it."""
    async with open_node(history_page=2) as node, welcomed(node) as ann, welcomed(node) as bob:
        for _ in range(6):
            await ann.ask(type="publish", channel="talk:x", data={"text": "x"})
        bob.flowing.clear()
        start = {"epoch": "", "offset": 0}
        subscribed = await bob.ask(type="subscribe", channel="talk:x", since=start)
        assert (len(subscribed["messages"]), subscribed["offset"]) == (2, 2)
        assert (await bob.ask(type="ping"))["type"] == "pong"
        bob.flowing.set()
        assert [(await bob.hear())["offset"] for _ in range(4)] == [3, 4, 5, 6]


async def test_what_follows_the_answer_is_sent_as_far_as_the_peer_takes_it() -> None:
    async with open_node(history_page=4) as node, welcomed(node) as ann, welcomed(node) as bob:
        for _ in range(12):
            await ann.ask(type="publish", channel="talk:x", data={"text": "x"})
        bob.room = 2
        start = {"epoch": "", "offset": 0}
        await bob.ask(type="subscribe", channel="talk:x", since=start)
        assert [(await bob.hear())["offset"] for _ in range(2)] == [5, 6]
        assert (await bob.ask(type="ping"))["type"] == "pong"
        bob.room = 3
        bob.flowing.set()
        assert [(await bob.hear())["offset"] for _ in range(3)] == [7, 8, 9]
        bob.room = 100
        bob.flowing.set()
        assert [(await bob.hear())["offset"] for _ in range(3)] == [10, 11, 12]
        sent = await ann.ask(type="publish", channel="talk:x", data={"text": "live"})
        assert (await bob.hear())["offset"] == sent["offset"] == 13


async def test_who_was_too_slow_for_what_is_not_kept_is_told_and_no_history_is_read() -> None:
    history = GatedHistory()
    async with (
        open_node(history=history) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        await bob.ask(type="subscribe", channel="wire:x")
        bob.room = 0
        await ann.ask(type="publish", channel="wire:x", data="lost")
        bob.room = 10
        bob.flowing.set()
        assert await bob.hear() == {"type": "lag", "channel": "wire:x", "behind": 0}
        await ann.ask(type="publish", channel="wire:x", data="live again")
        assert (await bob.hear())["data"] == "live again"
        assert not history.asked.is_set()


async def test_what_is_lost_while_history_is_read_is_told_before_what_is_live() -> None:
    history = GatedHistory()
    async with (
        open_node(history=history) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        for each in (ann, bob):
            await each.ask(type="subscribe", channel="talk:x")
        await ann.ask(type="publish", channel="talk:x", data={"text": "the first"})
        assert (await bob.hear())["offset"] == 1
        bob.room = 0
        await ann.ask(type="publish", channel="talk:x", data={"text": "too much"})
        history.open.clear()
        history.asked.clear()
        bob.room = 10
        bob.flowing.set()
        assert (await bob.hear())["type"] == "lag"
        await history.asked.wait()
        bob.flowing.clear()
        ann.say(type="signal", channel="talk:x", kind="lost")
        await ann.hear_type("signal")
        bob.flowing.set()
        history.open.set()
        assert [(await bob.hear())["type"] for _ in range(2)] == ["message", "lag"]
        await ann.ask(type="signal", channel="talk:x", kind="live")
        assert (await bob.hear())["kind"] == "live"


@pytest.mark.parametrize(("left", "notice"), [(60.5, 12.1), (300.2, 60.0), (1.0, 0.2)])
def test_a_client_is_told_a_minute_before_or_in_the_last_fifth(left: float, notice: float) -> None:
    assert notice_seconds(left) == pytest.approx(notice)


async def test_a_client_is_told_once_that_its_credential_ends() -> None:
    async with open_node() as node, connected(node, until(1)) as ann:
        await ann.hear()
        expiring = await ann.hear()
        assert (expiring["type"], 190 <= expiring["in_ms"] <= 200) == ("expiring", True)
        await ann.ended
        assert ann.said() == []


async def test_a_refreshed_connection_outlives_its_first_credential() -> None:
    tokens = {"later": until(600), "sooner": until(0.4)}
    async with open_node(tokens=tokens) as node, connected(node, until(0.5)) as ann:
        await ann.hear()
        expiring = await ann.hear()
        assert expiring["type"] == "expiring"
        done = await ann.ask(type="refresh", token="later")
        assert done["type"] == "ok"
        assert datetime.fromisoformat(done["expires_at"]) == tokens["later"].expires_at
        async with connected(node, until(0.5)) as another:
            await another.ended  # by then the first credential of ann is long over
        assert not ann.ended.done()
        assert (await ann.ask(type="ping"))["type"] == "pong"
        tokens["sooner"] = until(0.4)
        assert (await ann.ask(type="refresh", token="sooner"))["type"] == "ok"
        assert (await ann.ended)[0] == 4100


async def test_a_refresh_that_proves_nothing_changes_nothing() -> None:
    tokens = {"eve": until(600, "eve", "say")}
    async with (
        open_node(tokens=tokens, namespaces=[TALK, NEWS]) as node,
        connected(node, until(600)) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.hear()
        refused = await ann.ask(type="refresh", token="forged")
        assert (refused["code"], refused["field"]) == ("unauthenticated", "token")
        refused = await ann.ask(type="refresh", token="eve")
        assert (refused["code"], refused["field"]) == ("forbidden", "token")
        assert (await ann.ask(type="publish", channel="news:x", data=1))["code"] == "forbidden"
        assert (await bob.ask(type="refresh", token="bob"))["code"] == "unsupported"
        assert not ann.ended.done() and not bob.ended.done()


async def test_a_refresh_takes_away_what_the_new_credential_does_not_allow() -> None:
    tokens = {"less": until(600, "ann"), "more": until(600, "ann", "read", "say")}
    async with (
        open_node(tokens=tokens, namespaces=[TALK, NEWS]) as node,
        connected(node, tokens["more"]) as ann,
        connected(node, until(600, "bob", "say")) as bob,
    ):
        await ann.hear()
        for channel in ("news:x", "talk:x"):
            await ann.ask(type="subscribe", channel=channel)
        ann.say(type="publish", channel="news:x", data=1)
        assert {(await ann.hear())["type"] for _ in range(2)} == {"ok", "message"}
        ann.say(type="refresh", token="less", id="r")
        ended = {"type": "unsubscribed", "channel": "news:x", "reason": "policy changed"}
        assert [await ann.hear(), (await ann.hear())["type"]] == [ended, "ok"]
        assert (await ann.ask(type="publish", channel="news:x", data=2))["code"] == "forbidden"
        assert (await ann.ask(type="subscribe", channel="news:x"))["code"] == "forbidden"
        assert (await bob.ask(type="publish", channel="news:x", data="gone"))["type"] == "ok"
        await bob.ask(type="publish", channel="talk:x", data={"text": "still here"})
        assert (await ann.hear())["channel"] == "talk:x"
        await ann.ask(type="refresh", token="more")
        assert (await ann.ask(type="subscribe", channel="news:x"))["type"] == "subscribed"


async def test_a_revoked_credential_is_found_whenever_it_is_shown() -> None:
    revoked = until(600)
    tokens = {"revoked": revoked, "good": until(300)}
    async with open_node(tokens=tokens, sweep_seconds=3600) as node:
        await node.revocations.revoke_token(revoked)
        async with connected(node, revoked) as ann:
            assert await ann.ended == (4504, "revoked")
            assert ann.said() == []
        async with connected(node, tokens["good"]) as ann:
            await ann.hear()
            ann.say(type="refresh", token="revoked")
            assert await ann.ended == (4504, "revoked")
        assert node.hub.sessions == {}


async def test_what_a_revoked_client_had_said_already_is_not_carried_out() -> None:
    async with (
        open_node() as node,
        connected(node, until(600)) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.hear()
        await bob.ask(type="subscribe", channel="talk:x")
        (session,) = [each for each in node.hub.sessions.values() if each.principal.user == "ann"]
        for _ in range(3):
            ann.say(type="publish", channel="talk:x", data={"text": "too late"})
        session.link.end(CloseCode.REVOKED)
        await ann.ended
        await bob.ask(type="publish", channel="talk:x", data={"text": "alone"})
        assert [each["data"]["text"] for each in bob.said()] in ([], ["alone"])
        page = await bob.ask(type="history", channel="talk:x")
        assert [each["data"]["text"] for each in page["messages"]] == ["alone"]


async def test_who_connects_while_being_revoked_does_not_slip_by() -> None:
    """Whenever it comes: the list is read after the session became known to the packet."""
    for turns in range(12):
        async with open_node(sweep_seconds=3600) as node:
            ann = until(600)
            async with connected(node, ann) as peer:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await node.revocations.revoke_token(ann)
                assert await peer.ended == (4504, "revoked")


async def test_what_a_revoked_client_said_is_not_done_once_it_reads_again() -> None:
    """A command waits for a peer that does not read; the end comes while it waits."""
    async with (
        open_node() as node,
        connected(node, until(600)) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.hear()
        (session,) = [each for each in node.hub.sessions.values() if each.principal.user == "ann"]
        ann.buffered = node.limits.outbox_bytes + 1
        ann.flowing.clear()
        ann.say(type="publish", channel="talk:x", data={"text": "too late"})
        while not math.isinf(session.heartbeat.active):
            await asyncio.sleep(0)
        session.link.end(CloseCode.REVOKED)
        ann.flowing.set()
        await asyncio.sleep(0)
        while session.id in node.hub.sessions:
            await asyncio.sleep(0)
        assert (await bob.ask(type="history", channel="talk:x"))["messages"] == []


async def test_what_waits_for_a_publication_is_not_done_after_the_end() -> None:
    history = Deciding()
    async with open_node(history=history) as node, connected(node, until(600)) as ann:
        await ann.hear()
        (session,) = node.hub.sessions.values()
        history.decided.clear()
        ann.say(type="publish", channel="talk:x", data={"text": "in time"})
        ann.say(type="history", channel="talk:x")
        await history.asked_to_store.wait()
        while not (session.published and math.isinf(session.heartbeat.active)):
            await asyncio.sleep(0)
        session.link.end(CloseCode.REVOKED)
        history.decided.set()
        while session.id in node.hub.sessions:
            await asyncio.sleep(0)
        assert history.reads == 0


async def test_a_credential_that_cannot_be_checked_now_is_not_taken_up() -> None:
    facts = Away()
    tokens = {"other": until(600, "ann", "say"), "later": until(900, "ann", "say")}
    async with (
        open_node(coordination=facts, tokens=tokens, namespaces=[TALK, NEWS]) as node,
        connected(node, until(300)) as ann,
    ):
        await ann.hear()
        facts.away = True
        refused = await ann.ask(type="refresh", token="other")
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        facts.away = False
        assert (await ann.ask(type="publish", channel="news:x", data=1))["code"] == "forbidden"
        assert (await ann.ask(type="refresh", token="later"))["type"] == "ok"
        assert (await ann.ask(type="publish", channel="news:x", data=1))["type"] == "ok"


async def test_a_guest_may_try_again_to_be_who_it_was() -> None:
    facts = Away()
    tokens = {"earlier": Principal("guest-1", guest_token="earlier")}
    guest = Principal("guest-2", guest_token="new")
    async with open_node(coordination=facts, tokens=tokens) as node, connected(node, guest) as peer:
        await peer.hear()
        facts.away = True
        assert (await peer.ask(type="auth", token="earlier"))["code"] == "unavailable"
        facts.away = False
        assert (await peer.ask(type="auth", token="earlier"))["user"]["id"] == "guest-1"
        assert (await peer.ask(type="auth", token="earlier"))["code"] == "unsupported"


async def test_who_goes_by_another_name_now_leaves_as_who_came() -> None:
    tokens = {"married": replace(until(600), name="Ann Smith")}
    async with open_node(tokens=tokens) as node, welcomed(node, "bob") as bob:
        async with connected(node, replace(until(600), name="Ann")) as ann:
            await ann.hear()
            await ann.ask(type="subscribe", channel="talk:x")
            assert (await ann.ask(type="refresh", token="married"))["type"] == "ok"
        attendance = node.hub._attendance
        assert attendance._here == set()
        await bob.ask(type="subscribe", channel="talk:x", presence=True)
        while (await bob.ask(type="presence", channel="talk:x"))["count"] != 1:
            pass
