"""Measures one thing after another, and keeps what was found beside what was found before."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from .driver.tally import MeasurementError
from .faults.finding import Finding, load, save
from .installing import InstallError
from .machine import description

RESULTS = Path(__file__).parent / "results"

Measure = Callable[[], Iterator[tuple[str, Finding]]]
"""Yields findings with the names under which they are kept."""


def keep(
    measures: Mapping[str, Measure],
    about: Mapping[str, object],
    folder: Path,
    name: str,
    title: str,
) -> bool:
    """Everything, by what it is called; whether all of it could be measured."""
    findings, complete = load(folder, name), True
    for says, measure in measures.items():
        print(says, flush=True)
        begin, machine = time.monotonic(), description()
        try:
            for each, found in measure():
                found.about = {
                    "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                    "CPU": machine["CPU"],
                    "load before": machine["load before the run"],
                    "seconds": f"{time.monotonic() - begin:.0f}",
                    **about,
                }
                findings[each] = found
                print(f"\n{found.markdown()}\n", flush=True)
                save(folder, findings, name, title)
        except (MeasurementError, InstallError) as reason:
            print(f"FAILED: {says} {reason}", file=sys.stderr)
            complete = False
    print(f"Written to {folder}/{name}.json and .md")
    return complete
