"""What subscribers saw of a channel, and what must be true of it where a store may lose things."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..shapes import Frame
from ..truth import Name, Place, Seen, misnumbered, misstored, name, place


class Stretch(NamedTuple):
    """What was seen without a word about a loss, and after where it stands."""

    begin: Place
    messages: Sequence[Frame]


class Story(Seen):
    """What one subscriber saw, with what was before each loss of which it was told."""

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[Stretch] = []

    @property
    def stretches(self) -> list[Stretch]:
        """Everything, in pieces that continue."""
        return [] if self.begin is None else [*self._earlier, Stretch(self.begin, self.messages)]

    def take(self, frame: Frame) -> None:
        """See what the server says."""
        if frame["type"] == "subscribed" and not frame.get("recovered", True):
            self._earlier = self.stretches
        super().take(frame)


def wrong(
    history: Sequence[Frame],
    acknowledged: Mapping[Name, Place],
    stories: Sequence[Story],
    *,
    lossless: bool,
) -> list[str]:
    """What must not be, in one channel, once everybody has heard everything."""
    found = misnumbered(history)
    if lossless:
        found += misstored(history, acknowledged)
        return found + [line for story in stories for line in story.differs(history)]
    epoch = history[0]["epoch"] if history else ""
    current = {each: told for each, told in acknowledged.items() if told[0] == epoch}
    found += misstored(history, current) + contradicting(history, acknowledged, stories)
    for story in stories:
        for stretch in story.stretches:
            found += broken(stretch)
        found += [*unfinished(story, history), *untold(story, acknowledged)]
    return found


def broken(stretch: Stretch) -> Iterator[str]:
    """Where a stretch has a hole, a repeat, or another order."""
    (epoch, offset), messages = stretch
    epoch = epoch or (messages[0]["epoch"] if messages else "")
    for number, each in enumerate(messages, offset + 1):
        if place(each) != (epoch, number):
            yield f"after {(epoch, number - 1)} it saw {place(each)}"
            return


def unfinished(story: Story, history: Sequence[Frame]) -> Iterator[str]:
    """How the last stretch is not the end of history."""
    begin, messages = story.stretches[-1]
    if list(messages) != list(history[begin[1] :]):
        yield f"after {begin} it saw up to {story.position}, of {len(history)} and not the same"


def untold(story: Story, acknowledged: Mapping[Name, Place]) -> Iterator[str]:
    """What was acknowledged, and the subscriber neither saw it nor heard that something is lost."""
    (epoch, begin), messages = story.stretches[-1]
    saw = {place(each) for each in messages}
    for who, told in acknowledged.items():
        if told[0] == epoch and told[1] > begin and told not in saw:
            yield f"{who} was acknowledged at {told}, and never seen"


def contradicting(
    history: Iterable[Frame], acknowledged: Mapping[Name, Place], stories: Iterable[Story]
) -> list[str]:
    """Which place is taken twice: then who recovers from there misses something."""
    taken = {told: who for who, told in acknowledged.items()}
    seen = [each for story in stories for stretch in story.stretches for each in stretch.messages]
    return [
        f"{place(each)} is {taken[place(each)]} and {name(each)}"
        for each in [*history, *seen]
        if taken.setdefault(place(each), name(each)) != name(each)
    ]


def disordered(told: Sequence[Place]) -> list[str]:
    """Where a publisher's later message stands before an earlier one."""
    return [
        f"{later} was published after {earlier}"
        for earlier, later in pairwise(told)
        if earlier[0] == later[0] and earlier[1] >= later[1]
    ]
