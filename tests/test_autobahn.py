"""The service's protocol classes speak WebSocket as well as those of uvicorn that they extend."""

import pytest

from benchmarks.driver.tally import MeasurementError
from benchmarks.faults import autobahn
from benchmarks.service import install_service

pytestmark = pytest.mark.alone

Seen = dict[str, dict[str, tuple[str, str]]]


@pytest.fixture(scope="module")
def seen() -> Seen:
    """The verdicts on both echoes; skipped by name where there is no Python 2.7 for the suite."""
    try:
        autobahn.suite(autobahn.python2())
    except MeasurementError as missing:
        pytest.skip(str(missing))
    return autobahn.compared(install_service(), autobahn.Plan())


def test_nothing_fails_that_passes_on_uvicorn_as_it_is(seen: Seen) -> None:
    assert {case: seen["own"][case] for case in autobahn.worse(seen)} == {}


def test_all_cases_were_tried_on_both(seen: Seen) -> None:
    assert seen["own"].keys() == seen["stock"].keys()
    assert len(seen["own"]) == 250


def test_a_case_that_fails_only_here_is_found() -> None:
    own = {"1": ("OK", "OK"), "2": ("FAILED", "OK"), "3": ("OK", "UNCLEAN"), "4": ("FAILED", "OK")}
    stock = {"1": ("OK", "OK"), "2": ("OK", "OK"), "3": ("OK", "OK"), "4": ("FAILED", "OK")}
    assert autobahn.worse({"own": own, "stock": stock}) == ["2", "3"]


def test_without_python_2_it_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("AUTOBAHN_PYTHON", "/bin/false")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeasurementError, match="pyenv install"):
        autobahn.python2()
