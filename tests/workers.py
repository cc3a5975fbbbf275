"""Shares the tests between the workers of pytest-xdist, two of which `make test` starts."""

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from .options import ROOT

DOOR, ROOM = ROOT / "Makefile", ROOT / "pyproject.toml"
"""Files whose locks are held: they are there anyway, and the same for all workers."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker a whole module, whose tests share fixtures; of the suites, one project."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        return re.sub(r"^[^[]*", module, test) if "test_suites" in module else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Hand out the tests by what they share, in the order in which they were collected."""
    return Scheduling(config, log)


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock, once nobody else holds it in a way that excludes this one."""
    with path.open(encoding="utf-8") as file:
        flock(file, how)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test beside others, unless it is marked `alone`; none begins while one waits for that.

    Waiting is no part of the test: its time limit begins after it.
    """
    with ExitStack() as stack:
        with locked(DOOR, LOCK_EX):
            how = LOCK_EX if item.get_closest_marker("alone") else LOCK_SH
            stack.enter_context(locked(ROOM, how))
        return (yield)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show beside a result what the test recorded as `said`."""
    said = dict(report.user_properties).get("said") if report.when == "call" else None
    return ("passed", ".", f"PASSED ({said})") if report.passed and said else None
