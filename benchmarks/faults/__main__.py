"""`python -m benchmarks.faults stalled drain`: bake a service, do this to it, write it down."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ..driver.tally import MeasurementError
from ..installing import WORK, InstallError, environment
from ..machine import allow_descriptors, description
from ..service import commit, install_service
from .finding import NAME, load, save

RESULTS = Path(__file__).parent.parent / "results"
NAMES = ("stalled", "drain", "churn", "autobahn", "garbage", "hostile")


def modules() -> dict[str, ModuleType]:
    """The measurements by their names."""
    return {name: import_module(f"{__package__}.{name}") for name in NAMES}


def arguments(known: dict[str, ModuleType]) -> argparse.Namespace:
    """What is asked for; each number of a plan is an option."""
    about = "\n".join(f"  {name:9} {module.__doc__}" for name, module in known.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{__doc__}\n\n{about}",
    )
    parser.add_argument("names", nargs="+", choices=[*known, "all"], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="only show that everything works")
    for name, module in known.items():
        for field in fields(module.Plan):
            if f"--{field.name}" not in parser._option_string_actions:
                usual = field.default
                text = f"{name}: {usual} by default"
                parser.add_argument(f"--{field.name}", type=type(usual), help=text)
    return parser.parse_args()


def main() -> int:
    """Measure what was asked for; 0 if everything that has to hold does, or it was quick."""
    known = modules()
    asked = arguments(known)
    if find_spec("uvloop") is None:  # the clients must not be slower than what they measure
        python = environment("driver", ["uvloop"])
        beside = Path(sys.executable).parent
        os.environ["PATH"] = f"{beside}{os.pathsep}{os.environ['PATH']}"
        os.execv(python, [str(python), "-m", str(__package__), *sys.argv[1:]])
    allow_descriptors()
    print("Baking and installing the service ...", flush=True)
    try:
        service = install_service()
    except InstallError as reason:
        print(reason, file=sys.stderr)
        return 1
    chosen = NAMES if "all" in asked.names else asked.names
    given = {name: value for name, value in vars(asked).items() if value is not None}
    folder = WORK / "results" if asked.quick else RESULTS
    findings, failed = {} if asked.quick else load(folder), False
    for name in chosen:
        module = known[name]
        plan = module.QUICK if asked.quick else module.Plan()
        own = {each.name for each in fields(plan)} & given.keys()
        plan = replace(plan, **{field: given[field] for field in own})
        print(f"{name}: {module.__doc__}\n  {json.dumps(asdict(plan))}", flush=True)
        begin, machine = time.monotonic(), description()
        try:
            findings[name] = found = module.measure(service, plan)
        except (MeasurementError, InstallError) as reason:
            print(f"FAILED: {name}: {reason}", file=sys.stderr)
            failed = True
            continue
        found.about = {
            "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit(),
            "CPU": machine["CPU"],
            "load before": machine["load before the run"],
            "seconds": f"{time.monotonic() - begin:.0f}",
            "quick": "yes, these are no figures" if asked.quick else "no",
        }
        print(f"\n{found.markdown()}\n", flush=True)
        save(folder, findings)
        failed |= not (found.met or asked.quick)
    print(f"Written to {folder}/{NAME}.json and .md")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
