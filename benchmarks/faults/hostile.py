"""Hostile raw sockets: the project's own `tests/server/test_hostile.py`."""

from dataclasses import dataclass

from ..driver.tally import MeasurementError
from ..service import Service
from .finding import Finding
from .suites import tried

TEST = "tests/server/test_hostile.py"


@dataclass(frozen=True)
class Plan:
    """Nothing to choose."""


QUICK = Plan()


def measure(service: Service, plan: Plan) -> Finding:
    """Each of its tests states a bound."""
    if not (service.installed.folder / TEST).exists():
        raise MeasurementError(f"the project has no {TEST}")
    outcome, found = tried(service, TEST), Finding("Hostile raw sockets")
    found.claim("each is bounded as documented", outcome.said, outcome.passed)
    found.head = ["test", ""]
    found.rows = [[name, "passed" if met else "failed"] for name, met in outcome.tests.items()]
    return found
