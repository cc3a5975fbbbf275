"""Which tokens let somebody in, on the socket and over REST, and what is said of the others."""

import pytest

from ...doors import open_door
from ...service import Service
from ..entry import reception
from .case import Case
from .conftest import Trust
from .credentials import CASES
from .keys import CONFUSED, NAMED, NAMELESS, OF_THE_SET, UNKNOWN

EVERYWHERE = {
    "by_secret": [*CASES, *NAMELESS],
    "by_rsa_key": [*CASES, *NAMELESS, *CONFUSED],
    "by_curve_key": [*CASES, *NAMELESS, *CONFUSED],
    "by_key_set": [*CASES, *NAMED, *CONFUSED, *OF_THE_SET],
}
TABLE = [(trust, case) for trust, cases in EVERYWHERE.items() for case in cases]


@pytest.mark.parametrize(
    ("trust", "case"), TABLE, ids=[f"{trust}-{case.name}" for trust, case in TABLE]
)
async def test_a_token_is_good_or_it_is_not(
    trust: str, case: Case, request: pytest.FixtureRequest
) -> None:
    there: Trust = request.getfixturevalue(trust)
    token, before = case.make(there.issuer), len(there.service.log)
    on_the_socket = await reception(there.service, token)
    assert (on_the_socket, await over_rest(there.service, token)) == outcome(case)
    said = there.service.log[before:]
    assert "Traceback" not in said
    assert not leaked(token, said)


@pytest.mark.parametrize("case", UNKNOWN, ids=[case.name for case in UNKNOWN])
async def test_a_key_that_nobody_knows_opens_nothing(by_key_set: Trust, case: Case) -> None:
    token, before = case.make(by_key_set.issuer), len(by_key_set.service.log)
    refusals = open_door().refusals
    unknown_yet = refusals.over_http(503, or_else=4004)
    assert await reception(by_key_set.service, token) in (unknown_yet, refusals.of(4500))
    assert await over_rest(by_key_set.service, token) in (503, 401)
    said = by_key_set.service.log[before:]
    assert "Traceback" not in said
    assert not leaked(token, said)


def outcome(case: Case) -> tuple[int | str, int]:
    """What becomes of a token of this kind, on the socket and over REST."""
    refusals = open_door().refusals
    if case.code is None:
        return "welcome", 200
    if case.beyond == "field":
        return refusals.beyond_a_field, 401
    if case.beyond == "header":
        return refusals.beyond_a_header, 431
    return refusals.of(case.code), 401


@pytest.mark.parametrize("trust", EVERYWHERE)
async def test_no_token_is_none(trust: str, request: pytest.FixtureRequest) -> None:
    there: Trust = request.getfixturevalue(trust)
    assert await reception(there.service, None) == open_door().refusals.no_token
    async with there.service.rest() as http:
        for header in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
            refused = await http.get("/api/rooms", headers=header)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_is_not_taken_from_elsewhere(by_secret: Trust) -> None:
    """Over REST it stands in `Authorization`, and nowhere else."""
    token = by_secret.issuer.token()
    async with by_secret.service.rest() as http:
        for options in (
            {"params": {"token": token}},
            {"params": {"access_token": token}},
            {"headers": {"Authorization": f"Token {token}"}},
            {"headers": {"Authorization": token}},
            {"headers": {"X-Access-Token": token}},
        ):
            assert (await http.get("/api/rooms", **options)).status_code == 401  # type: ignore[arg-type]
    assert not leaked(token, by_secret.service.log)


@pytest.mark.parametrize("trust", EVERYWHERE)
async def test_a_service_signs_for_nobody_whose_provider_does(
    trust: str, request: pytest.FixtureRequest
) -> None:
    """Where tokens come from an identity provider by a public key, there is no other way in."""
    there: Trust = request.getfixturevalue(trust)
    async with there.service.rest() as http:
        form = {"username": "ann", "password": "any"}
        answer = await http.post("/auth/token", data=form)
        if answer.status_code == 200:
            token = answer.json()["access_token"]
            assert trust == "by_secret"
            assert await reception(there.service, token) == "welcome"


async def over_rest(service: Service, token: str) -> int:
    """The status with which REST answers who comes with a token."""
    async with service.rest({"Authorization": f"Bearer {token}"}) as http:
        return (await http.get("/api/rooms")).status_code


def leaked(token: str, log: str) -> list[str]:
    """What stands in the log of what could be used, or read: each part, from its beginning."""
    return [part for part in token.split(".") if len(part) > 8 and part[:12] in log]
