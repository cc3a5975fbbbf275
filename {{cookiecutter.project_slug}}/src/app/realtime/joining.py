"""How a subscriber becomes live: read what it lacks, then take its place without hole or repeat.

The channel goes on while history is read. So a join records what the channel delivers from the
moment a read begins; once a page reaches that moment, the page up to it and the recorded tail
together are everything, and the subscriber joins the live set in the same turn of the event loop.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

import structlog

from .. import metrics
from ..history.base import Page
from ..protocol.channels import START, Position
from ..protocol.codec import encode, encode_message, encode_with
from ..protocol.commands import Subscribe
from ..protocol.errors import CloseCode, Unavailable
from ..protocol.events import Lag, LostBecause, Roster, Subscribed
from ..protocol.frames import Frame, fitting
from .channel import LocalChannel, encode_restated
from .mending import RETRY_SECONDS, Mender

if TYPE_CHECKING:
    from .session import Session

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False)
class Join:
    """One subscription on its way to live."""

    mender: Mender
    channel: LocalChannel
    session: "Session"
    wanted: Subscribe
    roster: Roster | None = None
    lagging: bool = False
    """Whether something was kept from a peer that is too slow, which was not told yet."""
    task: asyncio.Task[None] | None = None
    """Catches up what did not fit the answer."""
    _start: int = 0
    _tail: list[tuple[int, Frame]] | None = None
    _pushes: list[Frame] | None = field(init=False)
    """What waits for the answer; None once there is one."""

    def __post_init__(self) -> None:
        self._pushes = None if self.lagging else []

    def record(self, offset: int, frame: Frame) -> None:
        """Note what the channel delivers, while this join reads."""
        if self._tail is not None:
            self._tail.append((offset, frame))

    def push(self, frame: Frame) -> None:
        """Deliver what is not kept, but never before the answer."""
        if self._pushes is not None:
            self._pushes.append(frame)
        elif not self.session.offer(frame):
            self.lagging = True

    async def run(self) -> None:
        """Answer the subscriber: with what follows `since`, or why not and the `last` messages.

        Live on return; except that what did not fit the answer is caught up first.
        """
        since, last, durable = self.wanted.since, self.wanted.last, self.channel.durable
        reason: LostBecause | None = None
        if since is not None and durable:
            page = await self._read(after=since.offset)
            reason = self._refusal(since, page, self.mender.limits.recovery_limit)
            if reason is None:
                rest = self._go_on(page, since.offset)
                return self._become_live() if rest is None else self.catch_up(rest)
        elif since is not None:
            reason = "no_history"
        frames: Sequence[Frame] = ()
        if last and durable:
            page = await self._read(newest=last)
            newest = self._frames(page, 0, until_now=True)[-last:]
            frames = newest[-fitting(reversed(newest), self.mender.limits.outbox_bytes) :]
        self._answer(self.channel.position, frames, reason)
        self._become_live()

    def catch_up(self, position: Position) -> None:
        """Send what follows `position`, page by page as the peer takes it, then be live."""
        self.task = self.mender.background.spawn(self._catch_up(position))

    async def _catch_up(self, position: Position) -> None:
        try:
            await self._follow(position)
        except Exception:
            log.exception("catching up failed", session=self.session.id)
            self.session.link.end(CloseCode.INTERNAL_ERROR)

    async def _follow(self, following: Position | None) -> None:
        while following is not None:
            await self.session.link.drained()
            # Nothing else may wait: neither the peer nor a store that is memory.
            await asyncio.sleep(0)
            self._say_lag(following)
            if not self.channel.durable:
                break
            try:
                page = await self._read(after=following.offset)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if reason := self._refusal(following, page):
                here = self.channel.position
                self.session.send(encode_restated(self.channel.name, here, reason))
                break
            following = self._go_on(page, following.offset)
        self._become_live()

    async def _read(self, *, after: int | None = None, newest: int | None = None) -> Page:
        """A page that agrees with the channel; from `_start` on, `_tail` has what was delivered."""
        channel = self.channel
        limit = newest or self.mender.limits.history_page
        while True:
            self._tail, self._start, jumps = [], channel.position.offset, channel.jumps
            page = await self.mender.history.read(channel.name, after=after, limit=limit)
            agrees = page.epoch == channel.position.epoch and page.top >= self._start
            if agrees and channel.jumps == jumps:
                self.mender.feed(channel, page)
                if channel.position.offset >= (page.top if after is None else min(after, page.top)):
                    return page
            await self.mender.repair(channel)

    def _refusal(self, since: Position, page: Page, most: float = math.inf) -> LostBecause | None:
        """Why not everything after this position can be had, or not at most so many."""
        if since.epoch != page.epoch and since != START:
            return "epoch_changed"
        if since.offset > page.top:
            return "ahead"
        if page.top - since.offset > most:
            return "too_far"
        first = page.publications[0].offset if page.publications else page.top + 1
        # Retention may have taken what follows.
        return "expired" if since.offset < page.top and first != since.offset + 1 else None

    def _go_on(self, page: Page, offset: int) -> Position | None:
        """Send a page, or as much as the peer or an answer takes: up to the position returned.

        Nothing if that is everything up to what was delivered meanwhile: it is to be live at once.
        """
        reached = page.publications[-1].offset if page.publications else offset
        live = reached >= self._start
        position = self.channel.position if live else Position(page.epoch, reached)
        frames = self._frames(page, offset, until_now=live)
        answers = self._pushes is not None
        if answers:
            taken = fitting(frames, self.mender.limits.outbox_bytes)
        else:
            taken = sum(1 for _ in takewhile(self.session.offer, frames))
        if taken < len(frames):
            live, position = False, Position(page.epoch, offset + taken)
        if answers:
            self._answer(position, frames[:taken], None)
        self._tail = None
        return None if live else position

    def _frames(self, page: Page, offset: int, *, until_now: bool) -> list[Frame]:
        """What a page has after `offset`; and behind it the tail, up to the channel's position."""
        stored = [
            encode_message(self.channel.name, Position(page.epoch, each.offset), each.body)
            for each in page.publications
            if offset < each.offset <= self._start
        ]
        tail = self._tail or () if until_now else ()
        return stored + [frame for place, frame in tail if place > offset]

    def _answer(
        self, position: Position, frames: Sequence[Frame], reason: LostBecause | None
    ) -> None:
        place = asdict(position) if self.channel.durable else {}
        lost = {} if self.wanted.since is None else {"recovered": reason is None, "reason": reason}
        id, channel, roster = self.wanted.id, self.channel.name, self.roster
        event = Subscribed(id=id, channel=channel, presence=roster, **place, **lost)
        if lost:
            metrics.RECOVERIES[reason or "recovered"].inc()
        pushes, self._pushes = self._pushes or (), None
        for frame in (encode_with(event, messages=frames), *pushes):
            self.session.send(frame)

    def _say_lag(self, position: Position) -> None:
        """Tell that something was kept from the peer, unless it was told."""
        if self.lagging:
            behind = max(self.channel.position.offset - position.offset, 0)
            self.session.send(encode(Lag(channel=self.channel.name, behind=behind)))
            self.lagging = False
            metrics.LAGS.inc()

    def _become_live(self) -> None:
        """Take the place in the live set; no await stands between the last frame and this."""
        self._say_lag(self.channel.position)
        del self.channel.joins[self.session]
        self.channel.live.add(self.session)
