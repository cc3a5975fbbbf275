"""What was stored, in every epoch there ever was: the truth behind what clients are told."""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from app.history.base import Draft, Receipt
from app.history.memory import MemoryHistory
from app.protocol.channels import START, Position
from app.protocol.errors import CommandError

T = TypeVar("T")

Name = tuple[str, str, str]
"""Channel, sender and key."""


class Archive(MemoryHistory):
    """A memory history that can lose its newest publications, as after a restore from a backup."""

    def go_back(self, channel: str, count: int) -> None:
        """Forget so many of what is kept, and the keys of these; the epoch stays what it was."""
        log = self._logs[channel]
        for _ in range(min(count, len(log.kept))):
            log.kept.pop()
            log.top -= 1
        for name, (_, _, offset) in list(self._keys.items()):
            if name[0] == channel and offset > log.top:
                del self._keys[name]


class Ledger:
    """Notes what the archive answers; remembers what the archive forgets."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.names: dict[str, Name] = {}
        """What each keyed message was published as."""
        self.lost: set[str] = set()
        """Messages that were stored and then forgotten."""
        self._logs: dict[str, dict[str, dict[int, str]]] = {}
        self._now: dict[str, str] = {}

    def note(self, drafts: Sequence[Draft], outcomes: Sequence[Receipt | CommandError]) -> None:
        """Enter what an append stored."""
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if isinstance(outcome, Receipt) and not outcome.duplicate:
                self.rotated(draft.channel, outcome.position)
                log = self._logs[draft.channel][outcome.position.epoch]
                log[outcome.position.offset] = draft.message_id
                if draft.key is not None:
                    self.names[draft.message_id] = (draft.channel, draft.sender, draft.key)

    def rotated(self, channel: str, position: Position) -> None:
        """Begin an epoch, if it is a new one, with what is there from before."""
        if position.epoch and position.epoch not in self._logs.setdefault(channel, {}):
            before = self._logs[channel].get(self._now.get(channel, ""), {})
            kept = {offset: id for offset, id in before.items() if offset <= position.offset}
            self.lost |= set(before.values()) - set(kept.values())
            self._logs[channel][position.epoch] = kept
            self._now[channel] = position.epoch

    def rotate(self, channel: str, lost: int = 0) -> None:
        """Begin a new epoch at once, after some loss: what a store does that noticed it."""
        epoch = self.position(channel).epoch
        if epoch:
            self.archive.go_back(channel, lost)
            self.rotated(channel, now(self.archive.rotate(channel, epoch)))

    def has_rotated(self, channel: str) -> bool:
        """Whether the channel is in its second epoch at least."""
        return len(self._logs.get(channel, {})) > 1

    def message(self, channel: str, position: Position) -> str | None:
        """The id of what was stored there."""
        return self._logs.get(channel, {}).get(position.epoch, {}).get(position.offset)

    def messages(self, channel: str) -> list[str]:
        """All that the channel now consists of, pruned or not, in order."""
        log = self._logs.get(channel, {}).get(self._now.get(channel, ""), {})
        return [log[offset] for offset in sorted(log)]

    def position(self, channel: str) -> Position:
        """Where the channel stands."""
        return now(self.archive.tops([channel])).get(channel, START)

    def pruned(self, channel: str) -> int:
        """The offset up to which retention took everything."""
        page = now(self.archive.read(channel, after=0, limit=1))
        return page.publications[0].offset - 1 if page.publications else page.top


def now(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that does not wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("this waits")
