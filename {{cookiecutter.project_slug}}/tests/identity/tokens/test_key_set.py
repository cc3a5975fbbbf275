"""The keys at a URL: changed while the service runs, away, or brought along by a token."""

import asyncio
from pathlib import Path

from ...auth.provider import providing
from ...doors import open_door
from ...service import PATIENCE, Service, running
from ..entry import enter, reception
from .conftest import FOR_US, Trust
from .issuer import AUDIENCE, ISSUER, Issuer, signing
from .test_credentials import over_rest

ROTATING = str(Path(__file__).parent / "rotating.py")
PROGRAM = (ROTATING, "0.2")

REFUSALS = open_door().refusals
UNKNOWN = REFUSALS.of(4500)
UNKNOWN_YET = REFUSALS.over_http(503, or_else=4004)
"""Who hears that comes back, and is let in if the provider says so then."""


async def until(service: Service, token: str, status: int) -> None:
    """Wait for REST to answer so, to a client that comes again and again."""
    async with asyncio.timeout(PATIENCE):
        while await over_rest(service, token) != status:
            await asyncio.sleep(0.05)


async def test_who_comes_with_a_new_key_is_let_in_soon(tmp_path: Path) -> None:
    """However short ago the provider was asked, nobody is turned away for good."""
    old, new = signing("first"), signing("second")
    after = Issuer(new.private, "RS256", {"kid": "second"})
    with (
        providing(old) as provider,
        running(
            tmp_path, program=(ROTATING, "2"), APP_JWT_JWKS_URL=provider.url, **FOR_US
        ) as service,
    ):
        before = old.token(iss=ISSUER, aud=AUDIENCE)
        assert await reception(service, before) == "welcome"
        provider.keys = [old, new]
        seen = [await reception(service, after.token())]
        async with asyncio.timeout(PATIENCE):
            while seen[-1] == UNKNOWN_YET:
                await asyncio.sleep(0.2)
                seen.append(await reception(service, after.token()))
        assert seen[0] == UNKNOWN_YET and seen[-1] == "welcome"
        assert provider.fetches == 2


async def test_keys_are_changed_while_the_service_runs(tmp_path: Path) -> None:
    old, new = signing("first"), signing("second")
    before = Issuer(old.private, "RS256", {"kid": "first"})
    after = Issuer(new.private, "RS256", {"kid": "second"})
    with (
        providing(old) as provider,
        running(tmp_path, program=PROGRAM, APP_JWT_JWKS_URL=provider.url, **FOR_US) as service,
    ):
        wire = await enter(service, before.token())
        assert await reception(service, after.token()) in (UNKNOWN, UNKNOWN_YET)
        await until(service, after.token(), 401)
        provider.keys = [old, new]
        await until(service, after.token(), 200)
        assert await reception(service, after.token()) == "welcome"
        assert await reception(service, before.token()) == "welcome"
        provider.keys = [new]
        await until(service, before.token(), 401)
        assert await reception(service, before.token()) in (UNKNOWN, UNKNOWN_YET)
        assert await reception(service, after.token()) == "welcome"
        async with wire.connection:
            assert (await wire.ask(type="ping"))["type"] == "pong"
        assert "Traceback" not in service.log


async def test_a_provider_that_is_away_is_no_refusal(tmp_path: Path) -> None:
    """Who comes then comes back; whether the token is good is not known yet."""
    token = signing("first").token()
    nowhere = "http://127.0.0.1:1/keys"
    with running(tmp_path, program=PROGRAM, APP_JWT_JWKS_URL=nowhere, **FOR_US) as service:
        assert await reception(service, token) == UNKNOWN_YET
        assert await over_rest(service, token) == 503
        assert "Traceback" not in service.log


async def test_names_that_nobody_knows_do_not_trouble_the_provider(by_key_set: Trust) -> None:
    assert by_key_set.provider is not None
    await over_rest(by_key_set.service, by_key_set.issuer.token())
    before = by_key_set.provider.fetches
    tokens = [by_key_set.issuer.by_hand({"kid": f"unknown-{number}"}) for number in range(40)]
    together = (over_rest(by_key_set.service, token) for token in tokens[:20])
    one_by_one = [await over_rest(by_key_set.service, token) for token in tokens[20:]]
    assert {*await asyncio.gather(*together), *one_by_one} <= {401, 503}
    assert by_key_set.provider.fetches - before <= 1


async def test_keys_are_never_fetched_from_where_a_token_says(by_key_set: Trust) -> None:
    mallory = signing("mallory")
    with providing(mallory) as elsewhere:
        for where in ("jku", "x5u", "iss"):
            for kid in ("mallory", "first", None):
                header = {where: elsewhere.url, **({"kid": kid} if kid else {})}
                token = Issuer(mallory.private, "RS256", header).token()
                yet = kid == "mallory"
                assert await over_rest(by_key_set.service, token) in (401, 503 if yet else 401)
                refused = await reception(by_key_set.service, token)
                assert refused in (UNKNOWN, UNKNOWN_YET if yet else UNKNOWN)
        assert elsewhere.fetches == 0
