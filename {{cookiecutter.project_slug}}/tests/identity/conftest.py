"""What the tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..service import Service, running

PROGRAM = (str(Path(__file__).parent / "club.py"),)


@pytest.fixture(scope="session")
def clubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with channels that not everybody may be in, whose rules are looked at often."""
    folder = tmp_path_factory.mktemp("clubs")
    haste = {"APP_SWEEP_SECONDS": "0.2", "APP_PRESENCE_GRACE_SECONDS": "0"}
    with running(folder, program=PROGRAM, **haste) as service:
        yield service
