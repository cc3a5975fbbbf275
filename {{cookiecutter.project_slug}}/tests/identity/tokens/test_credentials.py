"""Which tokens let somebody in, on the socket and over REST, and what is said of the others."""

import pytest

from ...service import Service
from ..entry import reception
from .case import Case
from .conftest import Trust
from .credentials import CASES, CONFUSED, NAMED

EVERYWHERE = "by_secret", "by_public_key", "by_key_set"
TABLE = [
    *((trust, case) for trust in EVERYWHERE for case in CASES),
    *((trust, case) for trust in EVERYWHERE[1:] for case in CONFUSED),
    *(("by_key_set", case) for case in NAMED),
]

TOO_LONG = 431
NOT_READ = {4500, 401, TOO_LONG, "invalid_message"}
"""How what is too long, or nothing at all, may end before it is looked at."""


@pytest.mark.parametrize(
    ("trust", "case"), TABLE, ids=[f"{trust}-{case.name}" for trust, case in TABLE]
)
async def test_a_token_is_good_or_it_is_not(
    trust: str, case: Case, request: pytest.FixtureRequest
) -> None:
    there: Trust = request.getfixturevalue(trust)
    token, before = case.make(there.issuer), len(there.service.log)
    on_the_socket = await reception(there.service, token)
    status = await over_rest(there.service, token)
    if case.code is None:
        assert (on_the_socket, status) == ("welcome", 200)
    elif case.unread:
        assert on_the_socket in NOT_READ
        assert status in (401, TOO_LONG)
    else:
        # 401 where the token is exchanged for something else first, over HTTP.
        assert on_the_socket in (case.code, 401)
        assert status == 401
    said = there.service.log[before:]
    assert "Traceback" not in said
    assert not leaked(token, said)


async def test_no_token_is_none(by_secret: Trust) -> None:
    assert await reception(by_secret.service, None) in NOT_READ
    async with by_secret.service.rest() as http:
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
        for path in ("/auth/token", "/auth/register"):
            form = {"username": "ann", "password": "any"}
            answer = await http.post(path, data=form)
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
