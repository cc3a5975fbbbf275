"""How many are let in, as what they count, and that they are counted out."""

from contextlib import AsyncExitStack

import pytest

from app.auth.base import Principal
from app.realtime.gate import Gate, Refusal
from app.settings import Limits
from app.tally import origin_of

from .stage import connected, open_node, welcomed

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_an_address_has_so_many_and_others_are_not_concerned() -> None:
    gate = Gate(Limits(connections_per_address=2))
    assert [gate.enter(HERE) for _ in range(3)] == [None, None, Refusal.CROWDED]
    assert gate.enter(THERE) is None
    gate.leave(HERE)
    assert [gate.enter(HERE) for _ in range(2)] == [None, Refusal.CROWDED]


def test_a_node_has_so_many_wherever_they_come_from() -> None:
    gate = Gate(Limits(connections_per_node=3))
    assert [gate.enter(each) for each in (HERE, None, THERE)] == [None] * 3
    assert [gate.enter(each) for each in (HERE, None, "198.51.100.1")] == [Refusal.FULL] * 3
    gate.leave(None)
    assert [gate.enter(each) for each in (HERE, HERE)] == [None, Refusal.FULL]


def test_who_has_no_address_counts_for_the_node_alone() -> None:
    gate = Gate(Limits(connections_per_address=1, connections_per_node=3))
    assert [gate.enter(None) for _ in range(4)] == [None, None, None, Refusal.FULL]


def test_nobody_is_let_in_once_it_is_closed_and_those_inside_leave_as_ever() -> None:
    gate = Gate(Limits())
    gate.enter(HERE)
    gate.closed = True
    assert gate.enter(THERE) is Refusal.CLOSED
    gate.leave(HERE)
    assert gate.inside == 0


def test_nothing_is_kept_of_those_who_left() -> None:
    gate = Gate(Limits())
    origins = [f"192.0.2.{number % 200}" for number in range(1000)]
    for origin in origins:
        gate.enter(origin)
    for origin in origins:
        gate.leave(origin)
    assert (gate.inside, gate._origins._counts) == (0, {})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("unknown", "unknown", True),
        ("a:b", "a:b", True),
        ("a:b", "a:c", False),
    ],
)
def test_what_an_address_counts_as(one: str, other: str, same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) is same


# users


async def test_a_user_has_so_many_connections_here_and_others_are_not_concerned() -> None:
    async with open_node(connections_per_user=2) as node:
        for _ in range(3):
            async with welcomed(node), welcomed(node), welcomed(node, "bob"):
                async with connected(node, Principal("ann")) as third:
                    assert await third.ended == (4202, "too many connections")
                    assert third.said() == []
                assert len(node.hub.sessions) == 3
        assert node.hub._users._counts == {}


async def test_a_guest_counts_as_who_it_turns_out_to_be() -> None:
    async with open_node(connections_per_user=2) as node, AsyncExitStack() as stack:
        guest = Principal("guest", guest_token="proof")
        for number in range(5):
            peer = await stack.enter_async_context(connected(node, guest))
            assert (await peer.hear())["type"] == "welcome"
            peer.say(type="auth", token="ann")
            if number < 2:
                assert (await peer.hear())["user"]["id"] == "ann"
            else:
                assert await peer.ended == (4202, "too many connections")
        assert node.hub._users._counts == {"ann": 2}
        await stack.aclose()
        assert node.hub._users._counts == {}


async def test_a_guest_who_says_again_who_it_is_counts_once() -> None:
    guest = Principal("ann", guest_token="proof")
    async with open_node(connections_per_user=1) as node:
        async with connected(node, guest) as peer:
            await peer.hear()
            assert (await peer.ask(type="auth", token="ann"))["type"] == "welcome"
        assert node.hub._users._counts == {}
