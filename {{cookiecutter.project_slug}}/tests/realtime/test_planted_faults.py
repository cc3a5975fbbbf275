"""The properties of test_continuity.py have teeth: each fault planted in the engine is found."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from app.broker.base import Packet
from app.protocol.channels import Position
from app.realtime.channel import LocalChannel
from app.realtime.hub import Hub
from app.realtime.joining import Join
from app.realtime.mending import Mender

from .scenario import Plan, play
from .steps import plans

Plant = Callable[[pytest.MonkeyPatch], None]


class FoundError(Exception):
    """A plan that breaks a promise, and how."""


def search(*, lossless: bool) -> None:
    """Try plans, the same in every run; raises FoundError at the first that breaks a promise."""

    @settings(
        max_examples=3_000,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(lossless=lossless))
    def attempt(plan: Plan) -> None:
        if trouble := play(plan):
            raise FoundError("\n".join(trouble))

    attempt()


# Joining


def forget_the_tail(patch: pytest.MonkeyPatch) -> None:
    """What the channel delivers while a join reads is not recorded."""
    patch.setattr(Join, "record", lambda self, offset, frame: None)


def be_live_a_turn_later(patch: pytest.MonkeyPatch) -> None:
    """Something may be delivered between the last frame of a join and its place in the live set."""
    become_live = Join._become_live

    def later(join: Join) -> None:
        if join.session in join.channel.joins:
            become_live(join)

    patch.setattr(
        Join, "_become_live", lambda join: asyncio.get_running_loop().call_soon(later, join)
    )


def be_live_too_early(patch: pytest.MonkeyPatch) -> None:
    """A subscriber gets what is live while the pages after its first one are still to come."""
    go_on, fall_behind = Join._go_on, Hub._fall_behind

    def eager(join: Join, *args: Any) -> Any:
        rest = go_on(join, *args)
        join.channel.live.add(join.session)
        return rest

    def once(hub: Hub, channel: LocalChannel, session: Any) -> None:
        if session not in channel.joins:  # else two joins of one session would get in their way
            fall_behind(hub, channel, session)

    patch.setattr(Join, "_go_on", eager)
    patch.setattr(Hub, "_fall_behind", once)


def catch_up_from_here(patch: pytest.MonkeyPatch) -> None:
    """Who was too slow is caught up from where the channel is, without what it did not take."""
    hand = LocalChannel._hand

    def forgetful(channel: LocalChannel, *args: Any) -> None:
        channel.delivered = channel.position
        hand(channel, *args)

    patch.setattr(LocalChannel, "_hand", forgetful)


def stay_live(patch: pytest.MonkeyPatch) -> None:
    """Who was too slow goes on as if it had taken everything."""
    patch.setattr(Hub, "_fall_behind", lambda hub, channel, session: None)


# Acceptance


def take_ahead_as_next(patch: pytest.MonkeyPatch) -> None:
    """A packet is delivered although those before it did not come."""
    accept = LocalChannel.accept

    def hasty(channel: LocalChannel, packets: Iterable[Packet]) -> None:
        for packet in packets:
            position = packet.position
            if position and position.offset > channel.position.offset + 1 and channel.located:
                channel.position = replace(channel.position, offset=position.offset - 1)
            accept(channel, (packet,))

    patch.setattr(LocalChannel, "accept", hasty)


def take_behind_again(patch: pytest.MonkeyPatch) -> None:
    """A packet is delivered although it was."""
    accept = LocalChannel.accept

    def forgetful(channel: LocalChannel, packets: Iterable[Packet]) -> None:
        for packet in packets:
            position = packet.position
            if position and position.offset == channel.position.offset and channel.located:
                channel.position = replace(channel.position, offset=position.offset - 1)
            accept(channel, (packet,))

    patch.setattr(LocalChannel, "accept", forgetful)


def drop_ahead(patch: pytest.MonkeyPatch) -> None:
    """A packet that is ahead is dropped, and nobody asks for those before it."""
    accept = LocalChannel.accept

    def careless(channel: LocalChannel, packets: Iterable[Packet]) -> None:
        for packet in packets:
            position = packet.position
            if not (position and channel.located and position.offset > channel.position.offset + 1):
                accept(channel, (packet,))

    patch.setattr(LocalChannel, "accept", careless)


def ignore_epochs(patch: pytest.MonkeyPatch) -> None:
    """A packet of another epoch passes for one of this epoch."""
    accept = LocalChannel.accept

    def blind(channel: LocalChannel, packets: Iterable[Packet]) -> None:
        for packet in packets:
            if packet.position:
                position = Position(channel.position.epoch, packet.position.offset)
                packet = packet._replace(position=position)
            accept(channel, (packet,))

    patch.setattr(LocalChannel, "accept", blind)


# Repair


def repair_nothing(patch: pytest.MonkeyPatch) -> None:
    """A repair returns without a read."""

    async def nothing(mender: Mender, channel: LocalChannel) -> None:
        channel.doubted = False

    patch.setattr(Mender, "_repair", nothing)


def jump_in_silence(patch: pytest.MonkeyPatch) -> None:
    """What cannot be repaired is not said."""

    def silent(channel: LocalChannel, position: Position, reason: str) -> None:
        channel.locate(position)

    patch.setattr(LocalChannel, "restate", silent)


def jump_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """A join does not learn that the channel jumped while it read."""
    locate = LocalChannel.locate

    def quiet(channel: LocalChannel, position: Position) -> None:
        locate(channel, position)
        channel.jumps = 0

    patch.setattr(LocalChannel, "locate", quiet)


def never_compare(patch: pytest.MonkeyPatch) -> None:
    """A sweep does not compare what is here with what history has."""

    async def nothing(mender: Mender) -> None:
        pass

    patch.setattr(Mender, "_compare", nothing)


LOST_FOR_GOOD = [
    forget_the_tail,
    be_live_a_turn_later,
    be_live_too_early,
    catch_up_from_here,
    stay_live,
    take_ahead_as_next,
    take_behind_again,
    ignore_epochs,
    repair_nothing,
    jump_in_silence,
    jump_unnoticed,
    never_compare,
]
HEALED_BY_A_SWEEP = [drop_ahead]


@pytest.mark.parametrize("plant", [*LOST_FOR_GOOD, *HEALED_BY_A_SWEEP])
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    with pytest.raises(FoundError) as found:
        search(lossless=plant in HEALED_BY_A_SWEEP)
    # Found by what a client sees, not because the plant itself is broken.
    assert "a command failed" not in str(found.value)
    assert "logged" not in str(found.value)
