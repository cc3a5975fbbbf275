"""The tables of the wire: which errors may pass, which closes come back."""

import pytest

from app.protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode, Unavailable

from ..shapes import FINAL, RETRYABLE


def test_the_error_codes_are_those_that_clients_match_on() -> None:
    assert {code.value for code in ErrorCode} == RETRYABLE | FINAL


@pytest.mark.parametrize("code", ErrorCode)
def test_what_may_succeed_later_says_so(code: ErrorCode) -> None:
    assert code.retryable is (code in RETRYABLE)


def test_the_close_codes_are_those_that_clients_match_on() -> None:
    assert {code.name: code.value for code in CloseCode} == {
        "DRAIN": 4000,
        "SLOW_CONSUMER": 4001,
        "HEARTBEAT_TIMED_OUT": 4002,
        "INTERNAL_ERROR": 4004,
        "CREDENTIAL_EXPIRED": 4100,
        "TICKET_SPENT": 4101,
        "RATE_LIMITED": 4200,
        "TOO_MANY_CONNECTIONS": 4202,
        "UNAUTHENTICATED": 4500,
        "AUTHENTICATION_TIMED_OUT": 4501,
        "PROTOCOL_ERROR": 4502,
        "UNSUPPORTED_VERSION": 4503,
        "REVOKED": 4504,
        "REPLACED": 4505,
        "TOO_MANY_ERRORS": 4507,
        "FORBIDDEN": 4508,
    }


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_has_a_reason_that_fits_its_frame(code: CloseCode) -> None:
    assert 0 < len(code.reason.encode()) <= 123
    assert Disconnect(code).reason == code.reason
    assert Disconnect(code, "another").reason == "another"


def test_what_cannot_be_reached_may_be_tried_again() -> None:
    assert isinstance(Unavailable(), CommandError)
    assert Unavailable().code.retryable
    assert Unavailable().message
