"""Random frames and messages: the project's `tests/server/test_garbage.py`, with many more."""

from dataclasses import dataclass

from ..service import Service
from .finding import Finding
from .suites import tried

BATCH = 10
"""How many are in one example; two tests try as many examples each."""


@dataclass(frozen=True)
class Plan:
    """How many frames and messages, half of each."""

    pieces: int = 100_000


QUICK = Plan(pieces=400)


def measure(service: Service, plan: Plan) -> Finding:
    """The test says what has to hold, after each ten."""
    examples = max(1, plan.pieces // (2 * BATCH))
    outcome = tried(service, "tests/server/test_garbage.py", GARBAGE_EXAMPLES=str(examples))
    found = Finding("Random garbage")
    found.claim("nothing dies, is logged as a fault, or is heard", outcome.said, outcome.passed)
    found.claim(f"sent ≥ {plan.pieces:,}", f"{outcome.sent:,}", outcome.sent >= plan.pieces)
    found.notes = (
        "Half are bytes and frames after a handshake, each on a connection of its own; half are "
        "messages, ten on a connection. After each ten somebody else in a room gets what is said "
        "there, and nothing else, and the log has no traceback."
    )
    return found
