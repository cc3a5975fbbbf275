"""The measurements of faults run, count right, and keep what they saw."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.finding import Finding, load, save
from benchmarks.installing import ROOT, WORK

pytestmark = pytest.mark.alone

NAMES = ("churn", "drain", "garbage", "stalled")


@pytest.fixture(scope="module")
def quick() -> dict[str, Finding]:
    """What tiny runs of all measurements found, on a real service."""
    command = [sys.executable, "-m", "benchmarks.faults", *NAMES, "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return load(WORK / "results")


def held(finding: Finding) -> set[str]:
    return {says for says, _, met in finding.claims if met}


def test_churn_leaves_nothing_behind(quick: dict[str, Finding]) -> None:
    assert quick["churn"].met, quick["churn"].claims
    assert {"node.hub.sessions", "tasks", "descriptors"} <= {
        name for name, *_ in quick["churn"].rows
    }


def test_a_drain_is_counted_to_the_last_connection(quick: dict[str, Finding]) -> None:
    found = quick["drain"]
    for _, _, closes, *_ in found.rows:
        assert sum(int(count) for count in closes.split()) == 20
    said = {"none that reads sees 1006", "all are told `reconnect`", "the process ends within 5 s"}
    assert held(found) >= said, found.claims


def test_who_stalls_is_gone_and_who_pauses_is_caught_up(quick: dict[str, Finding]) -> None:
    said = {"it is gone, with its code or cut", "after a pause of 3 s it has everything, once"}
    assert held(quick["stalled"]) >= said, quick["stalled"].claims


def test_garbage_harms_nobody(quick: dict[str, Finding]) -> None:
    assert quick["garbage"].met, quick["garbage"].claims


def test_a_promise_that_did_not_hold_is_said_and_kept(tmp_path: Path) -> None:
    found = Finding("A fault", head=["what", "how much"], rows=[["it", "1"]], notes="So it was.")
    found.claim("this holds", 1, met=True)
    assert found.met
    found.claim("that holds", "2 | 3", met=False)
    assert not found.met
    save(tmp_path, {"other": Finding("Another", about={"measured": "then"}), "fault": found})
    text = (tmp_path / "faults.md").read_text("utf-8")
    assert "| that holds | 2 / 3 | **not met** |" in text
    assert text.index("## A fault") < text.index("## Another")
    assert "measured: then." in text
    kept = load(tmp_path)
    assert kept["fault"].markdown() == found.markdown()
    assert load(tmp_path / "nowhere") == {}
