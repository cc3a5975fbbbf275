"""Whose credential was taken back: on every node, for as long as anything may be accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from app.auth.base import LEEWAY, Principal
from app.auth.revocation import CONTROL, LONGEST_SECONDS, Order, Revocations, read_order
from app.broker.base import Gap, Kind
from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.protocol.channels import ChannelName
from app.protocol.errors import CloseCode, Disconnect


def issued(ago: float, user: str = "ann", proof: str = "t") -> Principal:
    """Somebody whose credential is so old, in seconds, and good for ten minutes more."""
    now = datetime.now(UTC)
    return Principal(
        user,
        token_id=proof,
        issued_at=now - timedelta(seconds=ago),
        expires_at=now + timedelta(seconds=600),
    )


@dataclass
class Clerk:
    """Has users on record, or not, and tells when it revoked something."""

    moment: datetime | None

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """Nothing was."""
        return [False] * len(principals)

    async def revoke_token(self, principal: Principal) -> Sequence[Principal]:
        """Nobody else."""
        return ()

    async def revoke_user(self, user: str) -> datetime | None:
        """By its clock."""
        return self.moment


@pytest.fixture
def clock() -> list[float]:
    """The time of the shared facts."""
    return [0.0]


@pytest.fixture
def nodes(clock: list[float]) -> list[Revocations]:
    """Two nodes that share what all nodes share."""
    facts, reached = MemoryCoordination(clock=lambda: clock[0]).kept, list[MemoryBroker]()
    return [
        Revocations(MemoryCoordination(lambda: clock[0], facts), MemoryBroker(reached))
        for _ in range(2)
    ]


async def is_refused(node: Revocations, principal: Principal) -> bool:
    """Whether a node lets somebody in no more."""
    (revoked,) = await node.revoked([principal])
    if revoked:
        with pytest.raises(Disconnect) as refused:
            await node.check(principal)
        assert refused.value.code is CloseCode.REVOKED
    else:
        await node.check(principal)
    return revoked


async def test_a_token_is_refused_by_every_node_until_it_has_expired(
    nodes: list[Revocations], clock: list[float]
) -> None:
    one, another = issued(10, proof="one"), issued(10, proof="another")
    await nodes[0].revoke_token(one)
    for node in nodes:
        assert await is_refused(node, one)
        assert not await is_refused(node, another)
    clock[0] = 600 + LEEWAY - 1
    assert await is_refused(nodes[1], one), "a clock may be behind"
    clock[0] = 600 + LEEWAY + 1
    assert not await is_refused(nodes[1], one)


async def test_a_user_is_refused_with_all_that_was_issued_before(
    nodes: list[Revocations], clock: list[float]
) -> None:
    before = issued(0.001)
    await nodes[0].revoke_user("ann")
    after = issued(-0.001)
    for node in nodes:
        assert await is_refused(node, before)
        assert await is_refused(node, Principal("ann", guest_token="x"))
        assert not await is_refused(node, after)
        assert not await is_refused(node, issued(10, "bob"))
    clock[0] = LONGEST_SECONDS + 2 * LEEWAY - 1
    assert await is_refused(nodes[1], before)


@pytest.mark.parametrize("recorded", [datetime.now(UTC) + timedelta(seconds=20), None])
async def test_of_who_is_on_record_no_clock_of_another_node_refuses_what_is_new(
    recorded: datetime | None,
) -> None:
    """The others are refused by the time."""
    node = Revocations(MemoryCoordination(), MemoryBroker(), Clerk(recorded))
    await node.revoke_user("ann")
    assert list(await node.revoked([issued(0.001)])) == [recorded is None]


async def test_many_are_looked_up_in_one_question(nodes: list[Revocations]) -> None:
    await nodes[0].revoke_user("ann")
    await nodes[0].revoke_token(issued(10, "bob", "b"))
    people = [issued(10, "bob", "b"), issued(10, "bob", "c"), issued(10), Principal("eve")]
    assert list(await nodes[1].revoked(people)) == [True, False, True, False]
    assert list(await nodes[1].revoked([])) == []


async def test_what_was_never_a_token_cannot_be_taken_back(nodes: list[Revocations]) -> None:
    await nodes[0].revoke_token(Principal("ann"))
    assert not await is_refused(nodes[0], Principal("ann"))
    assert not await is_refused(nodes[0], Principal("bob"))


@pytest.mark.parametrize(
    ("order", "session", "principal", "hit"),
    [
        (Order(token_id="t"), "s", issued(1), True),
        (Order(token_id="u"), "s", issued(1), False),
        (Order(token_id="t"), "s", Principal("ann"), False),
        (Order(user="ann"), "s", issued(1), True),
        (Order(user="ann"), "s", issued(1, "bob"), False),
        (Order(user="ann", issued_until=datetime.now(UTC)), "s", issued(1), True),
        (Order(user="ann", issued_until=datetime.now(UTC)), "s", issued(-100), False),
        (Order(user="ann", issued_until=datetime.now(UTC)), "s", Principal("ann"), True),
        (Order(session="s"), "s", issued(1), True),
        (Order(session="s"), "another", issued(1), False),
        (Order(), "s", Principal("ann"), False),
    ],
)
async def test_an_order_hits_those_whom_it_is_about(
    order: Order, session: str, principal: Principal, hit: bool
) -> None:
    assert order.hits(session, principal) is hit


async def test_every_node_is_told(nodes: list[Revocations]) -> None:
    brokers = [node.broker for node in nodes]
    for broker in brokers:
        await broker.follow([CONTROL])
    await nodes[0].revoke_token(issued(1))
    await nodes[0].revoke_user("ann")
    await nodes[0].end("0123456789abcdef")
    for broker in brokers:
        packets = await anext(aiter(broker.deliveries()))
        assert not isinstance(packets, Gap)
        told = list(packets)
        assert {packet.kind for packet in told} == {Kind.CONTROL}
        orders = [read_order(packet) for packet in told]
        assert orders[0] == Order(token_id="t")
        assert (orders[1].user, orders[1].issued_until is not None) == ("ann", True)
        assert orders[2] == Order(session="0123456789abcdef")


def test_no_client_can_name_where_nodes_talk() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](ChannelName).validate_python(CONTROL)
