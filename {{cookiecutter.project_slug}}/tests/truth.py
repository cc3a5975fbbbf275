"""What history, publishers and subscribers must agree on; each function lists what is wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .shapes import Frame

Place = tuple[str, int]
"""Epoch and offset."""
Name = tuple[str, str]
"""Who published, and under which key."""


def place(frame: Frame) -> Place:
    """Where a frame stands."""
    return frame["epoch"], frame["offset"]


def name(message: Frame) -> Name:
    """What a message was published as."""
    return message["from"]["id"], message["key"]


def misnumbered(history: Sequence[Frame]) -> list[str]:
    """Where offsets do not rise by one, from the first, in one epoch."""
    epoch = history[0]["epoch"] if history else ""
    wanted = [(epoch, number) for number in range(1, len(history) + 1)]
    return [
        f"{here} stands at {place(each)}"
        for here, each in zip(wanted, history, strict=True)
        if place(each) != here
    ]


def misstored(history: Iterable[Frame], acknowledged: Mapping[Name, Place]) -> list[str]:
    """What was acknowledged and is not where its publisher was told; what is there twice."""
    messages = list(history)
    stored, times = {name(each): place(each) for each in messages}, Counter(map(name, messages))
    lost = [
        f"{each} was acknowledged at {told}, and is at {stored.get(each)}"
        for each, told in acknowledged.items()
        if stored.get(each) != told
    ]
    return lost + [f"{each} is there {count} times" for each, count in times.items() if count > 1]


class Seen:
    """What one subscriber saw of a channel: messages in the order in which they came.

    It goes over all connections. When the subscriber is told that continuity is lost, it begins
    anew from where the server says.
    """

    def __init__(self) -> None:
        self.messages: list[Frame] = []
        self.begin: Place | None = None
        """After where the first of them stands."""
        self.losses: list[str] = []
        """Why continuity was lost, each time that it was."""

    @property
    def position(self) -> Place | None:
        """Where to recover from; None before the first subscription."""
        return place(self.messages[-1]) if self.messages else self.begin

    @property
    def since(self) -> Frame | None:
        """The same, as `subscribe` has it."""
        here = self.position
        return None if here is None else {"epoch": here[0], "offset": here[1]}

    def take(self, frame: Frame) -> None:
        """See what the server says."""
        if frame["type"] == "message":
            self.messages.append(frame)
        elif frame["type"] == "subscribed":
            lost = not frame.get("recovered", True)
            if lost:
                self.losses.append(frame["reason"])
            if lost or self.begin is None:
                epoch, offset = place(frame)
                self.messages, self.begin = [], (epoch, offset - len(frame["messages"]))
            self.messages += frame["messages"]

    def differs(self, history: Sequence[Frame]) -> list[str]:
        """How it is not what history has from there on: each message once, in order, no hole."""
        if self.begin is None:
            return ["never subscribed"]
        wanted = list(history[self.begin[1] :])
        if self.messages == wanted:
            return [f"was told that continuity is lost: {each}" for each in self.losses]
        pairs = zip(self.messages, wanted, strict=False)
        same = next((n for n, (saw, kept) in enumerate(pairs) if saw != kept), None)
        number = min(len(self.messages), len(wanted)) if same is None else same
        saw, kept = (list(map(place, some[number:][:3])) for some in (self.messages, wanted))
        return [f"{number} messages after {self.begin} it saw {saw}, where there is {kept}"]
