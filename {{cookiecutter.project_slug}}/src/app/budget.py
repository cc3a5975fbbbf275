"""Budgets: what may be used so often, refilled as time passes."""

from dataclasses import dataclass

from .protocol.errors import CommandError, ErrorCode


@dataclass(frozen=True, slots=True)
class Want:
    """One use of a budget that refills at `rate` per second and holds at most `burst`."""

    key: str
    rate: float
    burst: int


ROUNDING = 1e-6
"""Seconds that a sum of floats may be off."""


def use_one(full_at: float, now: float, rate: float, burst: int) -> tuple[float, float]:
    """Use up one of a budget, which is kept as the time at which it is full again.

    Returns the seconds to wait, 0.0 if there was one left, and when the budget is full then.
    """
    later = max(full_at, now) + 1 / rate
    wait = later - now - burst / rate
    return (wait, full_at) if wait > ROUNDING else (0.0, later)


def too_much(wait: float) -> CommandError:
    """What a publisher hears whose budget has none left for so many seconds."""
    return CommandError(ErrorCode.RATE_LIMITED, "you publish too much", retry_after=wait)
