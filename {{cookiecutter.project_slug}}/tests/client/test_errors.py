"""Which ends a client comes back from."""

import pytest

from client.errors import ConnectionLost

BACK = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4100, 4202, 4499]
GONE = [1002, 1003, 1007, 1008, 1009, 1010, 4500, 4503, 4508, 4999]


@pytest.mark.parametrize("code", BACK)
def test_a_client_comes_back(code: int) -> None:
    assert not ConnectionLost(code, "").final


@pytest.mark.parametrize("code", GONE)
def test_a_client_stays_away(code: int) -> None:
    assert ConnectionLost(code, "").final


@pytest.mark.parametrize(
    ("status", "final"),
    [(403, True), (404, True), (431, True), (408, False), (429, False), (500, False), (503, False)],
)
def test_a_refused_handshake_is_judged_by_its_status(status: int, final: bool) -> None:
    assert ConnectionLost(status, "").final is final
