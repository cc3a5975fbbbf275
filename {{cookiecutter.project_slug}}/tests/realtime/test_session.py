"""A session's commands when the parts below are slow or gone, and its end."""

from datetime import UTC, datetime, timedelta

from app.auth.base import Principal
from app.protocol.commands import Subscribe

from .stage import GatedHistory, connected, open_node, welcomed


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
