"""No hole and no repeat, whatever happens around the engine."""

import pytest
from hypothesis import HealthCheck, given, settings

from .scenario import CHANNELS, Plan, Step, play
from .steps import GoBack, Publish, Reconnect, plans

QUIET = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(QUIET, max_examples=200)
@given(plans(lossless=False))
def test_continuity_is_kept_or_its_loss_is_said(plan: Plan) -> None:
    """Two or three nodes on one history, and ports that are slow, fail, lose, repeat and mix up."""
    assert play(plan) == []


@settings(QUIET, max_examples=100)
@given(plans(lossless=True))
def test_what_is_late_but_not_lost_needs_no_sweep(plan: Plan) -> None:
    """The same where everything arrives some time, on nodes that never compare with history."""
    assert play(plan) == []


@pytest.mark.parametrize("lost", [1, 4, 30])
def test_a_store_that_went_back_in_time_begins_a_new_epoch(lost: int) -> None:
    """It does not know that it did, as after a restored backup; the sweep finds out."""
    channel = CHANNELS[0]
    said = Publish(0, channel, count=30, every=0.0)
    steps: list[tuple[float, Step]]
    steps = [(1.0, said), (1.0, GoBack(channel, lost)), (30.0, said), (1.0, Reconnect(0, 1))]
    assert play(Plan(steps)) == []
