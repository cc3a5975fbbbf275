"""Runs a test of the generated project, as its owner would, and reads what pytest wrote down."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ..driver.tally import MeasurementError
from ..installing import WORK, run
from ..service import Service


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    tests: dict[str, bool]
    """Whether each passed."""
    sent: int
    """What the tests say that they sent."""
    said: str

    @property
    def passed(self) -> bool:
        """Whether all did, and there were any."""
        return bool(self.tests) and all(self.tests.values())


def tried(service: Service, test: str, **settings: str) -> Outcome:
    """Run one file of tests, without their limit of time; what it prints is in the log."""
    project = service.installed.folder
    run("uv", "sync", "--quiet", folder=project)  # with what the tests need
    name = f"faults-{Path(test).stem}"
    report, log = WORK / "logs" / f"{name}.xml", WORK / "logs" / f"{name}.log"
    command = [service.installed.command[0], "-m", "pytest", test, "-q", "--timeout=0"]
    report.unlink(missing_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        subprocess.run(
            [*command, f"--junitxml={report}"],
            cwd=project,
            env=os.environ | settings,
            stdout=output,
            stderr=output,
            check=False,
        )
    if not report.exists():
        raise MeasurementError(f"pytest wrote no report; see {log}")
    root = ElementTree.parse(report).getroot()
    tests = {
        case.get("name", ""): case.find("failure") is None and case.find("error") is None
        for case in root.iter("testcase")
        if case.find("skipped") is None
    }
    sent = sum(
        int(each.get("value", 0)) for each in root.iter("property") if each.get("name") == "sent"
    )
    failed = [name for name, passed in tests.items() if not passed]
    said = f"{len(tests)} tests, " + (
        f"failed: {', '.join(failed)}; see {log}" if failed else "passed"
    )
    return Outcome(tests, sent, said)
