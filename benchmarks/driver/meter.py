"""What a process and its descendants have cost so far, as Linux counts it."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """A process and everything that it started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, ())
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of all threads of these processes, living and ended.

    It is the sum that /proc/PID/stat gives in ticks of 10 ms, read from the process's own clock,
    which counts nanoseconds.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def cpu_by_process(pid: int) -> dict[int, float]:
    """The same for each process of a family; none for 0."""
    found = {}
    for each in family(pid) if pid else ():
        with suppress(OSError):  # it ended meanwhile
            found[each] = cpu_seconds([each])
    return found


def ticked_seconds(stat: str) -> float:
    """The same from the text of /proc/PID/stat, to the tick."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory that these processes hold: their own pages, and their part of shared ones."""
    return sum(_proportional(pid) for pid in pids)


def _proportional(pid: int) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024
    raise RuntimeError("this kernel does not tell the memory of a process")


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return None
