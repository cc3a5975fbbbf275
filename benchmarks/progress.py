"""Says what is being measured, which of how many it is, and about how long the rest takes."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Learns from what is done how long the rest will take."""

    expected: list[float]
    """Seconds of each step, guessed before the first."""
    say: Callable[[str], None] = print
    done: int = 0
    spent: float = 0.0
    _ratio: float = field(default=1.0, init=False)

    @property
    def rest(self) -> float:
        """Seconds until everything is done, as far as one can tell."""
        return sum(self.expected[self.done :]) * self._ratio

    def begin(self, what: str) -> None:
        """A step begins."""
        self.say(f"[{self.done + 1:>3}/{len(self.expected)}] {what}; {_rough(self.rest)} left")

    def end(self, outcome: str, seconds: float) -> None:
        """A step is done."""
        self.say(f"          {outcome}")
        self.done += 1
        self.spent += seconds
        guessed = sum(self.expected[: self.done])
        if guessed > 0:
            self._ratio = self.spent / guessed


def _rough(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"
