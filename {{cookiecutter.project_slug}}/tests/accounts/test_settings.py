"""What cannot be decided about accounts."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..service import environment


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"APP_ACCESS_SECONDS": "120", "APP_REFRESH_SECONDS": "60"},
            ["APP_ACCESS_SECONDS: 120 is more than APP_REFRESH_SECONDS, 60"],
        ),
        (
            {
                "APP_ACCESS_SECONDS": str(30 * 86_400),
                "APP_REFRESH_SECONDS": str(10**12),
                "APP_SIGN_INS_PER_NAME": "0",
                "APP_SIGN_INS_PER_NAME_EVERYWHERE": "0",
            },
            [
                "APP_ACCESS_SECONDS: ",
                "APP_REFRESH_SECONDS: ",
                "APP_SIGN_INS_PER_NAME: ",
                "APP_SIGN_INS_PER_NAME_EVERYWHERE: ",
            ],
        ),
    ],
)
def test_a_service_with_impossible_accounts_does_not_start(
    tmp_path: Path, settings: dict[str, str], said: list[str]
) -> None:
    """Nor with tokens that it would not take itself, since they last too long."""
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=environment({"APP_PORT": "0", **settings}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert [each for each in said if each not in done.stderr] == []
