"""One channel on this node: where it stands, who listens here, and what arrived too early."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import metrics
from ..broker.base import Kind, Packet
from ..protocol.channels import START, Position
from ..protocol.codec import encode, encode_message, encode_with
from ..protocol.events import LostBecause, PresenceReply, Roster, Subscribed
from ..protocol.frames import Frame, Run

if TYPE_CHECKING:
    from .joining import Join
    from .session import Session

MOST_HELD = 1000
"""How many packets wait for those between; what is beyond is read from history."""


@dataclass(eq=False, repr=False)
class LocalChannel:
    """Accepts packets of one channel in order and delivers them to its subscribers on this node."""

    name: str
    durable: bool
    mend: "Callable[[LocalChannel], None]"
    """Called where something is missing."""
    lag: "Callable[[LocalChannel, Session], None]"
    """Called for a subscriber that does not take what is delivered."""
    live: "set[Session]" = field(default_factory=set)
    """Subscribers that have everything up to the position."""
    watching: "set[Session]" = field(default_factory=set)
    """Those that asked for presence, on their way or live."""
    joins: "dict[Session, Join]" = field(default_factory=dict)
    """Subscribers on their way."""
    position: Position = START
    """The cursor: up to where everything was delivered here."""
    delivered: Position = START
    """The same, but while packets are being delivered: up to where they were before."""
    located: bool = False
    """Whether history has told the position."""
    doubted: bool = False
    """Whether a packet spoke of another epoch."""
    rewound: bool = False
    """Whether the store went back in time: what it numbers now passes for what was seen."""
    jumps: int = 0
    """How often the position changed other than by a delivery."""
    opening: asyncio.Task[None] = field(init=False)
    """Whoever comes waits for it, and fails if it did; then the last of them closes the channel."""
    mending: asyncio.Task[None] | None = None
    repairing: asyncio.Task[None] | None = None
    _held: dict[int, Packet] = field(default_factory=dict)
    _released: list[Frame] = field(default_factory=list)
    _withheld: list[Frame] | None = None
    """Who comes and leaves while it is asked who is here."""

    @property
    def idle(self) -> bool:
        """Whether nobody here needs the channel."""
        return not (self.live or self.joins)

    @property
    def incomplete(self) -> bool:
        """Whether something is known to be missing."""
        return self.located and (self.doubted or bool(self._held))

    def accept(self, packets: Iterable[Packet]) -> None:
        """Deliver what comes next, drop what came before, hold what is ahead of something missing.

        What has no position is delivered as it comes.
        """
        for packet in packets:
            position = packet.position
            if position is None:
                self._push(packet)
            elif self.located and (self.rewound or position.epoch != self.position.epoch):
                self.doubted = True
            elif (ahead := position.offset - self.position.offset) == 1 or (
                ahead > 0 and len(self._held) < MOST_HELD
            ):
                self._held[position.offset] = packet
                self._release()
        self._deliver()

    def check(self, given: Position, stood: Position) -> None:
        """Whether the store went back in time: it gave a place that was taken before it was asked.

        `stood` is where the channel was then.
        """
        if given.epoch == stood.epoch == self.position.epoch and given.offset <= stood.offset:
            self.rewound = True

    def locate(self, position: Position) -> None:
        """Go on from a position that history gave, with what of its epoch is held."""
        self.position = self.delivered = position
        self.located, self.rewound = True, False
        self.jumps += 1
        # What is held of another epoch raises a doubt: history may have answered late.
        held, self._held = self._held, {}
        self.accept(held.values())

    def restate(self, position: Position, reason: LostBecause) -> None:
        """Go on from another position, and tell the subscribers that continuity was lost."""
        for session in self.live:
            session.send(encode_restated(self.name, position, reason))
        self.locate(position)

    async def recount(self, asking: Awaitable[Roster]) -> None:
        """Tell those that watch who is here, and behind it who came and left meanwhile."""
        told: list[Frame] = []
        self._withheld = told
        try:
            roster = await asking
            told.insert(0, encode(PresenceReply(channel=self.name, **dict(roster))))
        finally:
            self._withheld = None
            for frame in told:
                self._tell(frame)

    def _release(self) -> None:
        """Go on as far as there is no hole."""
        while self.located and (packet := self._held.pop(self.position.offset + 1, None)):
            self.position = packet.position or self.position
            frame = encode_message(self.name, self.position, packet.body)
            for join in self.joins.values():
                join.record(self.position.offset, frame)
            self._released.append(frame)

    def _deliver(self) -> None:
        """Hand each subscriber in one piece what was released; see to what is missing."""
        if self._released:
            run, self._released = Run(self._released), []
            self._hand(run, self.live)
        self.delivered = self.position
        if self.incomplete:
            self.mend(self)

    def _hand(self, frame: Frame | Run, subscribers: set["Session"]) -> None:
        """Deliver to each; who does not take it, since too much waits for it, falls behind."""
        slow = [session for session in subscribers if not session.offer(frame)]
        metrics.SENT.inc(len(frame.frames) * (len(subscribers) - len(slow)))
        for session in slow:
            self.lag(self, session)

    def _push(self, packet: Packet) -> None:
        """Deliver what is not kept; who comes and leaves only to those that asked for it."""
        if packet.kind is Kind.PRESENCE:
            self._deliver()
            self._tell(Frame(packet.body))
            return
        message = packet.kind is Kind.MESSAGE
        frame = encode_message(self.name, None, packet.body) if message else Frame(packet.body)
        self._released.append(frame)
        for join in self.joins.values():
            join.push(frame)

    def _tell(self, frame: Frame) -> None:
        """Tell those that watch something of presence."""
        if self._withheld is not None:
            self._withheld.append(frame)
            return
        joining = self.watching & self.joins.keys()
        for session in joining:
            self.joins[session].push(frame)
        self._hand(frame, self.watching - joining if joining else self.watching)


def encode_restated(channel: str, position: Position, reason: LostBecause) -> Frame:
    """The push that says where a subscription stands after continuity was lost."""
    epoch, offset = position.epoch, position.offset
    event = Subscribed(channel=channel, epoch=epoch, offset=offset, recovered=False, reason=reason)
    return encode_with(event, messages=())
