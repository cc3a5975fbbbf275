"""Autobahn's conformance suite, against an echo on our protocol classes and on uvicorn's."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..driver.connection import HOST
from ..driver.tally import MeasurementError
from ..installing import WORK, InstallError, run
from ..service import Service
from .finding import Finding
from .server import Server, running

TITLE = "Autobahn, beside uvicorn as it is"
SUITE = "autobahntestsuite==0.8.2"
ECHO = Path(__file__).parent / "echo.py"
REPORT = "autobahn.json"
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}
"""UNIMPLEMENTED: an extension was offered and declined, as one may."""

REMEDY = (
    "Autobahn's suite needs Python 2.7: `pyenv install 2.7.18`, or name one by AUTOBAHN_PYTHON;"
    f" the suite itself is then installed from PyPI ({SUITE})"
)
START = """
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run
run()
"""

Verdicts = Mapping[str, tuple[str, str]]
"""By case: what became of the case, and of the closing."""


@dataclass(frozen=True)
class Plan:
    """Which cases; the second with compression on."""

    cases: str = "1.* 2.* 3.* 4.* 5.* 6.* 7.* 10.*"
    compressed: str = "12.1.1 12.1.2 13.1.1"


QUICK = Plan("1.1.* 2.*", "")


def python2() -> Path:
    """A Python 2.7 of this machine; raises MeasurementError that says how to get one."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = [os.environ.get("AUTOBAHN_PYTHON"), shutil.which("python2.7")]
    found = [str(path) for path in sorted(versions.glob("2.7*/bin/python"))]
    for path in [path for path in named if path] + found:
        ask = [path, "-c", "import sys; print(sys.version_info[:2] == (2, 7))"]
        # One that pyenv put on the PATH may only say that no version is chosen.
        if subprocess.run(ask, capture_output=True, check=False).stdout.strip() == b"True":
            return Path(path)
    raise MeasurementError(REMEDY)


def suite(python: Path) -> Path:
    """Where the suite is installed, once."""
    folder = WORK / "autobahn"
    if not (folder / "autobahntestsuite").exists():
        shutil.rmtree(folder, ignore_errors=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            run(*pip, "--target", str(folder), SUITE)
        except InstallError as reason:
            raise MeasurementError(f"{REMEDY}: {reason}") from None
    return folder


def tried(python: Path, server: Server, agent: str, cases: Sequence[str]) -> Verdicts:
    """What the suite says about a server that is running."""
    folder = WORK / "autobahn-reports" / agent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    asked = {
        "outdir": str(folder),
        "servers": [{"agent": agent, "url": f"ws://{HOST}:{server.port}"}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(asked), encoding="utf-8")
    start = ["-c", START, str(suite(python)), "-m", "fuzzingclient", "-s", "spec.json"]
    run(str(python), *start, folder=folder)
    report = json.loads((folder / "index.json").read_text(encoding="utf-8"))[agent]
    return {case: (each["behavior"], each["behaviorClose"]) for case, each in report.items()}


def compared(service: Service, plan: Plan) -> dict[str, dict[str, tuple[str, str]]]:
    """The verdicts on both, `own` and `stock`, by case."""
    python, seen = python2(), dict[str, dict[str, tuple[str, str]]](own={}, stock={})
    for cases, compression in ((plan.cases, "false"), (plan.compressed, "true")):
        for agent in seen if cases else ():
            program = (str(ECHO), agent)
            settings = {"APP_COMPRESSION": compression, "APP_LOG_LEVEL": "error"}
            with running(service, f"autobahn-{agent}", *program, **settings) as server:
                seen[agent] |= tried(python, server, agent, cases.split())
                print(f"  {agent}: {len(seen[agent])} cases", flush=True)
    return seen


def failed(verdict: tuple[str, str]) -> bool:
    """Whether a case or its closing failed."""
    return not set(verdict) <= PASSED


def worse(seen: Mapping[str, Verdicts]) -> list[str]:
    """The cases that fail here and not on uvicorn as it is."""
    own, stock = seen["own"], seen["stock"]
    return [case for case in own if failed(own[case]) and not failed(stock[case])]


def measure(service: Service, plan: Plan) -> Finding:
    """Both, case by case; the report is kept beside the results."""
    seen = compared(service, plan)
    folder = WORK / "results" if plan == QUICK else Path(__file__).parent.parent / "results"
    folder.mkdir(parents=True, exist_ok=True)
    keep(seen, folder / REPORT)
    own, stock = seen["own"], seen["stock"]
    lost = worse(seen)
    both = [case for case in own if failed(own[case]) and case not in lost]
    unlike = [f"{case} {own[case]} {stock[case]}" for case in own if own[case] != stock[case]]
    counts = {agent: Counter(verdict for verdict, _ in seen[agent].values()) for agent in seen}
    found = Finding(TITLE)
    fails = ", ".join(lost) or "nothing"
    found.claim("nothing fails that passes on uvicorn's", fails, bool(own) and not lost)
    found.head = ["verdict", "the service's classes", "uvicorn's"]
    found.rows = [
        [kind, *(str(count[kind]) for count in counts.values())]
        for kind in sorted(counts["own"] | counts["stock"])
    ]
    found.notes = (
        f"{len(own)} cases: {plan.cases}; with compression {plan.compressed or 'none'}. Fail on "
        f"both: {', '.join(both) or 'none'}. Unlike: {'; '.join(unlike) or 'none'}. `{REPORT}` has "
        "the verdict on each case, and on its closing."
    )
    return found


def keep(seen: Mapping[str, Verdicts], path: Path) -> None:
    """The report, a case per line, in order."""
    cases = sorted(seen["own"], key=lambda case: [int(part) for part in case.split(".")])
    lines = (
        f'"{case}": {json.dumps({agent: seen[agent].get(case) for agent in seen})}'
        for case in cases
    )
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
