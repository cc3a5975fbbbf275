"""No hole, no repeat, whatever the ports do; and a planted fault is found."""

from hypothesis import HealthCheck, given, settings

from .scenario import Plan, play
from .steps import plans


@settings(max_examples=300, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(plans())
def test_continuity_is_kept_or_its_loss_is_said(plan: Plan) -> None:
    assert play(plan) == []
