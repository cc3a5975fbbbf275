"""One channel on this node: where it stands, who listens here, and what arrived too early."""

from typing import TYPE_CHECKING

from ..broker.base import Kind, Packet
from ..protocol.channels import START, Position
from ..protocol.codec import encode_message, encode_with
from ..protocol.events import LostBecause, Subscribed

if TYPE_CHECKING:
    import asyncio

    from .joining import Join
    from .session import Session

MOST_HELD = 1000
"""How many packets wait for those between; what is beyond is read from history."""


class LocalChannel:
    """Accepts packets of one channel in order and delivers them to its subscribers on this node."""

    def __init__(self, name: str, *, durable: bool) -> None:
        self.name = name
        self.durable = durable
        self.live: set[Session] = set()
        """Subscribers that have everything up to the position."""
        self.watching: set[Session] = set()
        """Those of them that asked for presence."""
        self.joins: dict[Session, Join] = {}
        """Subscribers on their way."""
        self.waiting = 0
        """How many subscribers wait for the channel to be opened."""
        self.position = START
        """The cursor: up to where everything was delivered here."""
        self.fresh = True
        """Whether nothing was ever published, so that the first packet tells the epoch."""
        self.located = not durable
        """Whether the position means something yet."""
        self.doubted = False
        """Whether a packet spoke of another epoch."""
        self.opening: asyncio.Task[None] | None = None
        self.mending: asyncio.Task[None] | None = None
        self.repairing: asyncio.Task[None] | None = None
        self._early: list[Packet] = []
        self._held: dict[int, Packet] = {}

    @property
    def idle(self) -> bool:
        """Whether nobody here needs the channel."""
        return not (self.live or self.joins or self.waiting)

    @property
    def incomplete(self) -> bool:
        """Whether something is known to be missing."""
        return self.doubted or bool(self._held)

    def locate(self, position: Position) -> bool:
        """Begin at a position that history gave; False: something is missing already."""
        self.position, self.fresh, self.located = position, not position.epoch, True
        complete = [self.accept(packet) for packet in self._early]
        self._early.clear()
        return all(complete)

    def accept(self, packet: Packet) -> bool:
        """Deliver what comes next and drop what came before; False: something is missing.

        A packet that is ahead waits here for those between; one without a position never waits.
        """
        position = packet.position
        if position is None:
            self._push(packet)
            return True
        if not self.located:
            self._early.append(packet)
            return True
        if self.fresh and position.offset == 1:
            self.adopt(position.epoch)
        if position.epoch != self.position.epoch:
            self.doubted = True
            return False
        if position.offset > self.position.offset and len(self._held) < MOST_HELD:
            self._held[position.offset] = packet
            self._release()
        return not self._held

    def adopt(self, epoch: str) -> None:
        """Learn the epoch of a channel to which nothing had been published."""
        self.position, self.fresh = Position(epoch, self.position.offset), False

    def restate(self, position: Position, reason: LostBecause) -> None:
        """Go on from another position, and tell the subscribers that continuity was lost."""
        same = position.epoch == self.position.epoch
        self._held = {o: p for o, p in self._held.items() if same and o > position.offset}
        self.position, self.fresh = position, False
        for session in self.live:
            session.send(encode_restated(self.name, position, reason))
        for join in self.joins.values():
            join.restated = True
        self._release()

    def _release(self) -> None:
        """Deliver as far as there is no hole."""
        while (packet := self._held.pop(self.position.offset + 1, None)) is not None:
            self.position = packet.position or self.position
            frame = encode_message(self.name, self.position, packet.body)
            for join in self.joins.values():
                join.record(self.position.offset, frame)
            for session in self.live:
                session.send(frame)

    def _push(self, packet: Packet) -> None:
        """Deliver what is not kept; who comes and goes only to those that asked for it."""
        presence = packet.kind is Kind.PRESENCE
        kept = packet.kind is Kind.MESSAGE
        frame = encode_message(self.name, None, packet.body) if kept else packet.body
        for session in self.watching if presence else self.live:
            session.send(frame)
        for join in self.joins.values():
            if join.presence or not presence:
                join.push(frame)


def encode_restated(channel: str, position: Position, reason: LostBecause) -> bytes:
    """The push that says where a subscription stands after continuity was lost."""
    epoch, offset = position.epoch, position.offset
    event = Subscribed(channel=channel, epoch=epoch, offset=offset, recovered=False, reason=reason)
    return encode_with(event, messages=())
