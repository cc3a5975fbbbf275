"""Keeps history in this process: bounded by number and age, and gone when the process ends."""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice
from secrets import token_hex
from time import monotonic

from ..commands import Commands
from ..protocol.channels import START, Position
from ..protocol.errors import CommandError, ErrorCode
from ..settings import Count, Positive, Section
from .base import Draft, Health, Page, Publication, Receipt, Room

KEY_SECONDS = 300.0
"""How long a key is remembered, whether or not its publication is."""

history_commands: Commands = ()
"""Nothing here outlives the process, so there is nothing to look after."""

MOST_PRUNED = 1_000
"""How much one `prune` deletes, so that nobody waits for it."""


_Key = tuple[str, str, str]
"""Channel, sender and key."""


class MemoryHistorySettings(Section):
    """How much of each channel is kept."""

    history_length: Count = 1_000
    history_seconds: Positive = 3_600


@dataclass(slots=True)
class _Log:
    """One channel: where it stands, and when its newest publications came; the last is at `top`."""

    epoch: str
    kept: deque[tuple[float, Publication]]
    top: int = 0

    def page(self, after: int | None, before: int | None, limit: int) -> Page:
        pruned = self.top - len(self.kept)
        if after is not None:
            start = max(after - pruned, 0)
            stop = start + limit
        else:
            stop = self.top if before is None else min(before - 1, self.top)
            stop = max(stop - pruned, 0)
            start = max(stop - limit, 0)
        return Page(self.epoch, self.top, [stored for _, stored in islice(self.kept, start, stop)])


@dataclass
class MemoryHistory:
    """Numbers and keeps publications, and knows the rooms, as long as the process lives."""

    length: int
    seconds: float
    clock: Callable[[], float] = monotonic
    new_epoch: Callable[[], str] = lambda: token_hex(8)  # it goes into every frame
    carries: bool = False
    health: Health = Health.UP
    _logs: dict[str, _Log] = field(default_factory=dict)
    """Never deleted from: a counter must not start again."""
    _oldest: list[tuple[float, str]] = field(default_factory=list)
    """A heap: when to look at each log that keeps some."""
    _keys: OrderedDict[_Key, tuple[float, Draft, int]] = field(default_factory=OrderedDict)
    """Until when a key is remembered, what was published under it and where; oldest first."""
    _rooms: dict[str, Room] = field(default_factory=dict)

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        """Store drafts in order, without an await: nobody sees half of it."""
        now = self.clock()
        return [self._append(draft, now) for draft in drafts]

    def _append(self, draft: Draft, now: float) -> Receipt | CommandError:
        if draft.key is None:
            return self._store(draft, now)
        key = (draft.channel, draft.sender, draft.key)
        if key not in self._keys:
            receipt = self._store(draft, now)
            self._keys[key] = now + KEY_SECONDS, draft, receipt.position.offset
            return receipt
        _, known, offset = self._keys[key]
        if known.digest != draft.digest:
            return CommandError(ErrorCode.CONFLICT, "this key stands for other data", field="key")
        position = Position(self._logs[draft.channel].epoch, offset)
        return Receipt(position, known.body, duplicate=True)

    def _store(self, draft: Draft, now: float) -> Receipt:
        log = self._logs.get(draft.channel)
        if log is None:
            log = self._logs[draft.channel] = _Log(self.new_epoch(), deque(maxlen=self.length))
        if not log.kept:
            heappush(self._oldest, (now, draft.channel))
        log.top += 1
        log.kept.append((now, Publication(log.top, draft.body)))
        return Receipt(Position(log.epoch, log.top), draft.body)

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        """A page as of now; reading leaves no trace of a channel."""
        log = self._logs.get(channel)
        return log.page(after, before, limit) if log else Page(START.epoch, START.offset, ())

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        """Where each channel stands now."""
        return {channel: self._position(channel) for channel in channels}

    def _position(self, channel: str) -> Position:
        log = self._logs.get(channel)
        return Position(log.epoch, log.top) if log else START

    async def rotate(self, channel: str, epoch: str) -> Position:
        """Begin a new epoch, in which what is kept stays at its offset."""
        log = self._logs.get(channel)
        if log and log.epoch == epoch:
            log.epoch = self.new_epoch()
        return self._position(channel)

    async def prune(self) -> int:
        """Delete what is too old; what is too many went with the append that made it so."""
        now, pruned = self.clock(), 0
        while pruned < MOST_PRUNED and self._keys and next(iter(self._keys.values()))[0] <= now:
            self._keys.popitem(last=False)
            pruned += 1
        while pruned < MOST_PRUNED and self._oldest and self._oldest[0][0] <= now - self.seconds:
            _, channel = heappop(self._oldest)
            kept = self._logs[channel].kept
            while pruned < MOST_PRUNED and kept and kept[0][0] <= now - self.seconds:
                kept.popleft()
                pruned += 1
            if kept:
                heappush(self._oldest, (kept[0][0], channel))
        return pruned

    async def create(self, room: Room) -> bool:
        """Keep the room, unless its channel is one."""
        return self._rooms.setdefault(room.channel, room) is room

    async def rooms(self) -> Sequence[Room]:
        """All rooms, oldest first."""
        return sorted(self._rooms.values(), key=lambda room: room.created_at)

    async def describe(self, channel: str) -> Room | None:
        """The room on this channel."""
        return self._rooms.get(channel)


@asynccontextmanager
async def open_history(clock: Callable[[], float] = monotonic) -> AsyncIterator[MemoryHistory]:
    """The history of the one process there is."""
    settings = MemoryHistorySettings()
    yield MemoryHistory(settings.history_length, settings.history_seconds, clock)
