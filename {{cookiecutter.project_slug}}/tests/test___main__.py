"""`python -m app`, as it is typed: it serves, or says all that is wrong."""

import socket
import subprocess
import sys
from pathlib import Path

from .service import environment


def started(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start it, where it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_started(tmp_path: Path) -> None:
    done = started(
        tmp_path,
        APP_ALLOWED_ORIGINS="https://app.example.com,*",
        APP_ENVIRONMENT="production",
        APP_JWT_SECRET="too-short",
        APP_LOG_LEVEL="loud",
        APP_PORT="abc",
        APP_WORKERS="0",
    )
    assert done.returncode == 2
    first, *complaints = done.stderr.splitlines()
    assert "does not start" in first
    wrong = "APP_JWT_SECRET is shorter", "APP_PORT", "APP_LOG_LEVEL", "APP_WORKERS"
    for name in (*wrong, "APP_ALLOWED_ORIGINS"):
        assert [each for each in complaints if name in each]
    assert "too-short" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_no_settings_are_found_wrong_only_later(tmp_path: Path) -> None:
    """What the application declares is known before it is started."""
    script = """
import app.__main__
from app.settings import Section, _sections
known = set(_sections(Section))
import app.main
print(sorted(each.__name__ for each in set(_sections(Section)) - known))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = started(tmp_path, APP_PORT=str(taken.getsockname()[1]))
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr
