"""The keys of an identity provider: asked for rarely, changed with it, kept while it is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from structlog.testing import capture_logs

from app.auth.jwks import (
    COOLDOWN_SECONDS,
    FRESH_SECONDS,
    LONGEST_ANSWER,
    MOST_KEYS,
    RETRY_SECONDS,
    PublishedKeys,
    fetch,
    open_jwks,
)
from app.protocol.errors import Unavailable

from ..doors import open_door
from ..service import PATIENCE, Service, Wire, knock, running
from .provider import Provider, SigningKey, providing, rsa_key

OLD, NEW = SigningKey("old"), SigningKey("new")
RSA = SigningKey("rsa", rsa_key())


class Scene:
    """Keys whose provider and clock are a test's."""

    def __init__(self, *keys: SigningKey, algorithm: Any = None) -> None:
        self.now = 0.0
        self.fetches = 0
        self.answer: bytes | Exception = b""
        self.go = asyncio.Event()
        self.go.set()
        self.publish(*(key.published() for key in keys))
        self.keys = PublishedKeys(self._fetch, algorithm, clock=lambda: self.now)

    def publish(self, *entries: object) -> None:
        """Have the provider answer with these from now on."""
        self.answer = json.dumps({"keys": entries}).encode()

    async def knows(self, kid: str | None) -> bool:
        """Whether a token that names a key may be good."""
        return await self.keys.find(kid) is not None

    async def answered(self) -> None:
        """Wait for what is being fetched without anybody waiting for it."""
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    async def _fetch(self) -> bytes:
        self.fetches += 1
        await self.go.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_keys_are_found_by_their_names() -> None:
    scene = Scene(OLD, RSA)
    for kid, algorithm in (("old", "ES256"), ("rsa", "RS256")):
        key = await scene.keys.find(kid)
        assert key is not None and (key.kid, key.algorithm) == (kid, algorithm)
    assert not await scene.knows("ol") and not await scene.knows("") and not await scene.knows("x")


async def test_without_a_name_there_must_be_one_key_only() -> None:
    assert await Scene(OLD).knows(None)
    assert await Scene(SigningKey()).knows(None)
    assert not await Scene(OLD, NEW).knows(None)
    assert not await Scene(OLD, RSA).knows(None)
    assert not await Scene().knows(None)
    scene = Scene(OLD, NEW)
    scene.keys.ask()
    scene.now = 1.0
    assert not await scene.knows(None), "no matter who had the provider asked"


async def test_a_name_that_two_keys_have_names_none() -> None:
    assert not await Scene(OLD, SigningKey("old")).knows("old")


@pytest.mark.parametrize(("algorithm", "known"), [("RS256", "rsa"), ("ES256", "old")])
async def test_an_algorithm_that_is_set_leaves_only_its_keys(algorithm: str, known: str) -> None:
    scene = Scene(OLD, RSA, algorithm=algorithm)
    assert [kid for kid in ("old", "rsa") if await scene.knows(kid)] == [known]
    assert await scene.knows(None)


UNUSABLE: list[Any] = [
    None,
    [],
    "key",
    {},
    {"kty": "oct", "kid": "k", "k": "c2VjcmV0", "alg": "HS256"},
    {"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "AAAA"},
    OLD.published(kid="k", use="enc"),
    OLD.published(kid="k", use=["sig"]),
    OLD.published(kid="k", alg="RS256"),
    OLD.published(kid="k", alg="none"),
    OLD.published(kid="k", crv="P-384"),
    OLD.published(kid="k", x="AAAA"),
    OLD.published(kid="k", x=...),
    OLD.published(kid="k", x=1),
    OLD.published(kid="k", d="AAAA"),
    OLD.published(kid=1),
    RSA.published(kid="k", alg="HS256"),
    RSA.published(kid="k", alg="PS256"),
    RSA.published(kid="k", alg="RSA-OAEP", use="enc"),
    RSA.published(kid="k", e="AQ"),
    RSA.published(kid="k", e=""),
    RSA.published(kid="k", n="ü"),
    SigningKey("k", rsa_key(1024)).published(),
    {**OLD.published(kid="k"), "kty": "RSA"},
    {**OLD.published(kid="k"), "y": NEW.published()["y"]},
]


@pytest.mark.parametrize("entry", UNUSABLE)
async def test_what_is_no_public_key_that_signs_is_passed_over(entry: object) -> None:
    scene = Scene(OLD)
    scene.publish(entry, NEW.published())
    assert not await scene.knows("k") and await scene.knows("new") and await scene.knows(None)


async def test_an_entry_may_leave_out_what_it_is_for() -> None:
    scene = Scene()
    scene.publish(OLD.published(use=..., alg=...), RSA.published(use=..., alg=..., x5c=["any"]))
    assert await scene.knows("old") and await scene.knows("rsa")


async def test_however_many_wait_there_is_one_fetch() -> None:
    scene = Scene(OLD)
    scene.go.clear()
    waiting = []
    for scene.now in (0.0, FRESH_SECONDS):
        waiting += [asyncio.create_task(scene.knows("old")) for _ in range(50)]
        await asyncio.sleep(0)
    waiting[0].cancel()
    scene.go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError), "who leaves does not end it for others"
    assert answers[1:] == [True] * 99
    assert scene.fetches == 1


async def test_an_answer_is_good_for_a_while() -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.publish(NEW.published())
    scene.now = FRESH_SECONDS - 0.1
    assert await scene.knows("old") and scene.fetches == 1
    scene.now = 10 * FRESH_SECONDS
    assert await scene.knows("old"), "who comes first then does not wait for it"
    await scene.answered()
    assert not await scene.knows("old"), "a key that was removed is refused from then on"
    assert await scene.knows("new") and scene.fetches == 2


async def test_who_has_a_known_key_does_not_wait_for_a_provider_that_hangs() -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.go.clear()
    scene.now = FRESH_SECONDS
    async with asyncio.timeout(PATIENCE / 4):
        assert [await scene.knows("old") for _ in range(50)] == [True] * 50
    stranger = asyncio.create_task(scene.knows("new"))
    await asyncio.sleep(0)
    scene.publish(OLD.published(), NEW.published())
    scene.go.set()
    assert await stranger and scene.fetches == 2


async def test_without_a_name_an_old_answer_is_not_enough() -> None:
    """Else a token of the new key would be held against the old one, and be refused for good."""
    scene = Scene(OLD)
    before = await scene.keys.find(None)
    scene.publish(NEW.published())
    scene.now = FRESH_SECONDS
    after = await scene.keys.find(None)
    assert before is not None and after is not None and (before.kid, after.kid) == ("old", "new")


async def test_a_new_name_is_asked_about_but_not_in_a_row() -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.publish(NEW.published())
    for scene.now in (1.0, COOLDOWN_SECONDS - 0.1):
        with pytest.raises(Unavailable):
            await scene.knows("new")
        assert await scene.knows("old")
    scene.now = COOLDOWN_SECONDS
    assert await scene.knows("new") and not await scene.knows("old")
    assert scene.fetches == 2


async def test_a_name_is_refused_once_the_provider_was_asked_after_it_came() -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.now = COOLDOWN_SECONDS
    scene.go.clear()
    first = asyncio.create_task(scene.knows("new"))
    await asyncio.sleep(0)
    scene.now += 1
    second = asyncio.create_task(scene.knows("new"))
    await asyncio.sleep(0)
    scene.go.set()
    assert not await first
    with pytest.raises(Unavailable):
        await second
    assert scene.fetches == 2
    scene.now = 2 * COOLDOWN_SECONDS
    scene.answer = OSError("away")
    with pytest.raises(Unavailable):
        await scene.knows("new")
    assert scene.fetches == 3


async def test_names_that_nobody_knows_make_no_flood() -> None:
    scene = Scene(OLD)
    refused = 0
    for step in range(1000):
        scene.now = step / 10
        try:
            assert not await scene.knows(uuid4().hex)
            refused += 1
        except Unavailable:
            assert await scene.knows("old")
    assert refused == scene.fetches == 100 / COOLDOWN_SECONDS


GARBAGE = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"keys": {}}',
    b'{"keys": ' + b"[" * 60_000,
    b"\xff\xfe",
    json.dumps({"keys": [OLD.published()] * (MOST_KEYS + 1)}).encode(),
    ValueError("any"),
    TimeoutError(),
    OSError("any"),
    RecursionError(),
]


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda each: str(each)[:20])
async def test_while_the_provider_makes_no_sense_its_keys_stay(answer: bytes | Exception) -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.answer = answer
    scene.now = FRESH_SECONDS
    with capture_logs() as logs:
        assert await scene.knows("old")
        await scene.answered()
    (warning,) = logs
    assert (warning["log_level"], warning["kept"]) == ("warning", 1)
    assert len(warning["why"]) <= 200
    scene.now += RETRY_SECONDS - 0.1
    assert await scene.knows("old") and scene.fetches == 2, "who has keys waits rarely"
    scene.publish(NEW.published())
    scene.now += 0.1
    assert await scene.knows("old")
    await scene.answered()
    assert await scene.knows("new") and scene.fetches == 3


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda each: str(each)[:20])
async def test_where_there_never_were_keys_nothing_can_be_said(answer: bytes | Exception) -> None:
    scene = Scene(OLD)
    scene.answer = answer
    for kid in ("old", None):
        with pytest.raises(Unavailable):
            await scene.knows(kid)
    assert scene.fetches == 1
    scene.publish(OLD.published())
    scene.now = COOLDOWN_SECONDS
    assert await scene.knows("old")


async def test_a_provider_that_takes_all_keys_back_is_believed() -> None:
    scene = Scene(OLD)
    assert await scene.knows("old")
    scene.publish()
    scene.now = FRESH_SECONDS
    with capture_logs() as logs:
        assert await scene.knows("old")
        await scene.answered()
    assert not await scene.knows(None)
    assert [each["log_level"] for each in logs] == ["warning"]


@asynccontextmanager
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """What fetches."""
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as http:
        yield http


async def test_an_answer_may_be_as_long_as_key_sets_are() -> None:
    with providing(OLD) as provider:
        provider.body = b"x" * LONGEST_ANSWER
        async with client() as http:
            assert await fetch(http, provider.url) == provider.body


def _huge(provider: Provider) -> None:
    provider.body = b" " * 5_000_000


def _long(provider: Provider) -> None:
    provider.body = b" " * (LONGEST_ANSWER + 1)


def _moved(provider: Provider) -> None:
    provider.status, provider.headers = 302, {"Location": f"{provider.url}/elsewhere"}


def _failing(provider: Provider) -> None:
    provider.status = 500


def _dripping(provider: Provider) -> None:
    provider.seconds_between_bytes = 0.02


@pytest.mark.parametrize("fault", [_huge, _long, _moved, _failing, _dripping])
async def test_an_answer_that_is_too_long_or_late_or_elsewhere_is_none(
    fault: Callable[[Provider], None],
) -> None:
    with providing(OLD) as provider:
        fault(provider)
        began = monotonic()
        async with client() as http:
            with pytest.raises((ValueError, TimeoutError)):
                await fetch(http, provider.url, seconds=0.5)
        assert monotonic() - began < PATIENCE / 4
        assert provider.fetches == 1


async def test_a_packed_answer_is_not_unpacked() -> None:
    """What is short on the wire may be long when it is unpacked."""
    with providing(OLD) as provider:
        provider.headers, provider.body = {"Content-Encoding": "gzip"}, b"\x1f\x8b not unpacked"
        async with client() as http:
            assert await fetch(http, provider.url) == provider.body


async def test_a_service_that_ends_waits_for_no_provider() -> None:
    with providing(OLD) as provider:
        _dripping(provider)
        began = monotonic()
        async with open_jwks(provider.url, None) as keys:
            asking = asyncio.create_task(keys.find("old"))
            while not provider.fetches:
                await asyncio.sleep(0.01)
        assert monotonic() - began < PATIENCE / 4
        with pytest.raises(asyncio.CancelledError):
            await asking


IMPATIENT = (
    "-c",
    "import runpy; import app.auth.jwks as jwks; jwks.COOLDOWN_SECONDS = 0.1; "
    "jwks.RETRY_SECONDS = jwks.FRESH_SECONDS = 0.5; "
    "runpy.run_module('app', run_name='__main__')",
)
"""The service, but it asks again after a tenth of a second, also for keys that it knows."""


@contextmanager
def behind(provider: Provider, folder: Path, **options: Any) -> Iterator[Service]:
    """A service whose users come with tokens of a provider."""
    named = {"APP_JWT_ISSUER": "https://id.example/", "APP_JWT_AUDIENCE": "chat"}
    with running(folder, **{"APP_JWT_JWKS_URL": provider.url, **named, **options}) as service:
        yield service


def token(key: SigningKey, **changed: Any) -> str:
    """What a provider signs for this service."""
    return key.token(**{"iss": "https://id.example/", "aud": ["chat", "other"], **changed})


async def status(service: Service, token: str) -> int:
    """How REST answers to who comes with a token."""
    async with service.rest({"Authorization": f"Bearer {token}"}) as http:
        return (await http.post("/api/rooms", json={"name": uuid4().hex})).status_code


async def welcome(service: Service, token: str) -> str:
    """Whom a connection is welcomed as that shows a token."""
    shown = await open_door().show(service, token)
    async with await knock(service, shown) as connection:
        wire = Wire(connection)
        if shown.message is not None:
            await wire.say(**shown.message)
        wire.welcome = await wire.hear()
        assert wire.welcome["type"] == "welcome", wire.welcome
        return wire.user


async def until(service: Service, token: str, wanted: int) -> None:
    """Return once REST answers so, to a client that comes again and again."""
    async with asyncio.timeout(PATIENCE):
        while await status(service, token) != wanted:
            await asyncio.sleep(0.02)


async def test_a_service_follows_its_provider_from_key_to_key(tmp_path: Path) -> None:
    with providing(OLD) as provider, behind(provider, tmp_path, program=IMPATIENT) as service:
        assert await welcome(service, token(OLD)) == "ann"
        assert await status(service, token(OLD)) == 201
        assert await status(service, token(OLD, aud="other")) == 401
        assert await status(service, token(OLD, iss="https://other.example/")) == 401
        await until(service, token(NEW), 401)
        provider.keys = [OLD, NEW]
        await until(service, token(NEW), 201)
        assert await status(service, token(OLD)) == 201
        provider.keys = [NEW]
        await until(service, token(OLD), 401)
        assert await welcome(service, token(NEW)) == "ann"
        provider.status = 503
        fetches = provider.fetches
        while provider.fetches == fetches:
            assert await status(service, token(SigningKey("asks again"))) in (401, 503)
        assert await status(service, token(SigningKey("nobody can know"))) == 503
        assert await status(service, token(NEW)) == 201
        assert await welcome(service, token(NEW)) == "ann"
    assert 'kept": 1' in service.log and "Traceback" not in service.log
    for key in (OLD, NEW):
        assert token(key).split(".")[0] not in service.log


async def test_a_service_starts_while_its_provider_is_away(tmp_path: Path) -> None:
    with providing(OLD) as provider:
        provider.status = 503
        with behind(provider, tmp_path, program=IMPATIENT) as service:
            async with asyncio.timeout(PATIENCE):
                while "the answer has the status 503" not in service.log:
                    await asyncio.sleep(0.01)  # it is said before anybody comes
            assert await status(service, token(OLD)) == 503
            provider.status = 200
            await until(service, token(OLD), 201)


async def test_tokens_with_random_names_of_keys_reach_no_provider(tmp_path: Path) -> None:
    with providing(OLD) as provider, behind(provider, tmp_path) as service:
        began = monotonic()
        async with service.rest() as http:

            async def knock_at(number: int) -> int:
                forged = token(SigningKey(f"{number}-{uuid4()}", OLD.key))
                bearer = {"Authorization": f"Bearer {forged}"}
                return (await http.get("/api/connections", headers=bearer)).status_code

            answers = [await asyncio.gather(*map(knock_at, range(20))) for _ in range(10)]
        assert {status for some in answers for status in some} <= {401, 503}
        assert monotonic() - began < PATIENCE / 2, "nobody waits for a turn"
        assert provider.fetches <= 1 + (monotonic() - began) / COOLDOWN_SECONDS + 1
        assert await status(service, token(OLD)) == 201
