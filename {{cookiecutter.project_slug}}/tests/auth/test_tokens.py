"""Which tokens prove somebody, which have expired, and which prove nothing."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from jose import jwt
from structlog.testing import capture_logs

from app.auth.base import Principal
from app.auth.claims import LONGEST
from app.auth.keys import OneKey, secret_key
from app.auth.public_key import VerifyingKey, from_pem
from app.auth.revocation import LONGEST_SECONDS
from app.auth.secret import signing_secret
from app.auth.tokens import Tokens, open_tokens, sign
from app.protocol.errors import CloseCode, Disconnect, Unavailable

from ..service import environment
from .provider import SigningKey, claims, encoded, forged, rsa_key

SECRET = "a secret of 32 characters or more"
KEY = SECRET.encode()
HEADER = {"alg": "HS256", "typ": "JWT"}
NOW = 1_700_000_000


@pytest.fixture(autouse=True)
def settings(bare: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A service that signs with a secret."""
    bare.setenv("APP_JWT_SECRET", SECRET)
    return bare


def signed(header: dict[str, Any] | None = None, **changed: Any) -> str:
    """A token that is good, but for what is said."""
    return forged({**HEADER, **(header or {})}, claims(**changed), KEY)


def written(payload: object) -> str:
    """A token whose claims stand there as they are written."""
    return forged(HEADER, payload, KEY)


async def verified(token: str) -> Principal:
    """Whom a token proves to the service as it is set up."""
    async with open_tokens() as tokens:
        return await tokens.verify(token)


async def refusal(token: str, tokens: Tokens | None = None) -> tuple[CloseCode, str]:
    """With what a token is refused, and why as the log has it, which has nothing else."""
    with capture_logs() as logs, pytest.raises(Disconnect) as refused:
        await (tokens.verify(token) if tokens else verified(token))
    assert refused.value.__cause__ is None
    (line,) = logs
    assert line == {"event": "token refused", "log_level": "info", "why": line["why"]}
    return refused.value.code, line["why"]


async def test_a_token_proves_whom_it_was_signed_for() -> None:
    before = datetime.now(UTC)
    token = sign("auth0|1", name="Zoë", scopes=frozenset({"publish", "admin"}), seconds=60)
    principal = await verified(token)
    assert principal.issued_at is not None and principal.expires_at is not None
    assert (principal.expires_at - principal.issued_at).total_seconds() == pytest.approx(60)
    assert before <= principal.issued_at <= datetime.now(UTC)
    assert principal == Principal(
        "auth0|1",
        "Zoë",
        frozenset({"publish", "admin"}),
        jwt.get_unverified_claims(token)["jti"],
        principal.issued_at,
        principal.expires_at,
    )
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"


async def test_a_token_needs_no_name_and_no_scopes() -> None:
    principal = await verified(sign("ann", name=None, scopes=frozenset(), seconds=60))
    assert (principal.name, principal.scopes) == (None, frozenset())


async def test_two_tokens_are_never_the_same() -> None:
    tokens = [sign("ann", name=None, scopes=frozenset(), seconds=60) for _ in range(3)]
    assert len({(await verified(token)).token_id for token in tokens}) == 3


async def test_what_is_signed_here_is_for_this_service(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("APP_JWT_ISSUER", "https://here.example/")
    settings.setenv("APP_JWT_AUDIENCE", "chat")
    assert (await verified(sign("ann", name=None, scopes=frozenset(), seconds=60))).user == "ann"


@pytest.mark.parametrize(
    "header",
    [{}, {"typ": ...}, {"typ": "at+jwt"}, {"typ": "application/at+JWT"}, {"typ": "jwt"}],
)
async def test_the_types_of_an_access_token_are_taken(header: dict[str, Any]) -> None:
    said = {name: each for name, each in {**HEADER, **header}.items() if each is not ...}
    assert (await verified(forged(said, claims(), KEY))).user == "ann"


@pytest.mark.parametrize(
    ("changed", "scopes"),
    [
        ({"scope": "publish notify"}, {"publish", "notify"}),
        ({"scope": ["publish", "notify"]}, {"publish", "notify"}),
        ({"scp": "publish"}, {"publish"}),
        ({"scp": ["publish", "notify"]}, {"publish", "notify"}),
        ({"scope": None, "scp": None}, set()),
        ({"scope": ""}, set()),
        ({"scopes": "admin", "roles": ["admin"]}, set()),
    ],
)
async def test_scopes_come_in_the_ways_that_providers_write_them(
    changed: dict[str, Any], scopes: set[str]
) -> None:
    assert (await verified(signed(**changed))).scopes == scopes


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë 👋", "Zoë 👋"),
        (" Ann\n\0\u202e ", "Ann"),
        ("x" * 300, "x" * 256),
        ("\n", None),
        ("", None),
        (["Ann"], None),
        (None, None),
    ],
)
async def test_a_name_is_what_can_be_shown_of_it(name: object, shown: str | None) -> None:
    assert (await verified(signed(name=name))).name == shown


async def test_other_claims_are_passed_over() -> None:
    principal = await verified(signed(typ="bearer", token_use="access", azp="x", nbf=1, iss="any"))
    assert principal.user == "ann"


REFUSED = [
    pytest.param("", "form", id="nothing"),
    pytest.param("x", "form", id="a letter"),
    pytest.param("a.b", "form", id="two parts"),
    pytest.param("a.b.c", "header", id="three parts"),
    pytest.param("a.b.c.d.e", "form", id="five parts, as what is encrypted has"),
    pytest.param("...", "form", id="dots"),
    pytest.param(None, "unreadable", id="no text"),
    pytest.param("ü" + signed(), "form", id="a letter that is no ASCII"),
    pytest.param("\ud800" + signed(), "form", id="half of a character"),
    pytest.param(signed() + "!!!!", "form", id="something after the token"),
    pytest.param(signed() + "\n", "form", id="a line break after the token"),
    pytest.param(signed().replace(".", "=.", 1), "form", id="padding"),
    pytest.param(signed(name="x" * LONGEST), "form", id="too long"),
    pytest.param(f"{encoded(HEADER)}.{encoded(claims())}.", "form", id="an empty signature"),
    pytest.param(forged({"alg": "none"}, claims(), KEY), "algorithm", id="none"),
    pytest.param(forged({"alg": "nOnE"}, claims(), KEY), "algorithm", id="none in another case"),
    pytest.param(signed({"alg": "HS512"}), "algorithm", id="another algorithm"),
    pytest.param(signed({"alg": "HS"}), "algorithm", id="a part of an algorithm"),
    pytest.param(signed({"alg": ["HS256"]}), "header", id="a list of algorithms"),
    pytest.param(forged({}, claims(), KEY), "header", id="no algorithm"),
    pytest.param(forged([], claims(), KEY), "header", id="a header that is a list"),
    pytest.param(forged("[" * 700, claims(), KEY), "header", id="a deep header"),
    pytest.param(forged(b"\xff", claims(), KEY), "header", id="a header that is no text"),
    pytest.param(signed({"x": "x" * 1024}), "header", id="a header that is too long"),
    pytest.param(signed({"kid": 1}), "header", id="a kid that is a number"),
    pytest.param(signed({"typ": "dpop+jwt"}), "header typ", id="a header of another type"),
    pytest.param(signed({"crit": ["b64"], "b64": False}), "crit", id="crit"),
    pytest.param(signed({"crit": []}), "crit", id="an empty crit"),
    pytest.param(signed({"crit": None}), "crit", id="a crit that is null"),
    pytest.param(forged(HEADER, claims(), KEY * 2), "signature", id="another secret"),
    pytest.param(signed()[:-4] + "AAAA", "signature", id="a changed signature"),
    pytest.param(signed().replace(".", ".AA", 1), "signature", id="changed claims"),
    pytest.param(forged(HEADER, claims(exp=1), KEY * 2), "signature", id="another, and expired"),
    pytest.param(written("[]"), "claims", id="claims that are a list"),
    pytest.param(written("{"), "claims", id="claims that are no JSON"),
    pytest.param(written(b"\xff"), "claims", id="claims that are no text"),
    pytest.param(written('{"sub":' + "[" * 2000), "claims", id="deep claims"),
    pytest.param(written('{"x":' + '{"x":' * 300 + "1" + "}" * 301), "claims", id="deep, closed"),
    pytest.param(signed(sub=...), "sub", id="no sub"),
    pytest.param(signed(sub=""), "sub", id="sub is empty"),
    pytest.param(signed(sub=1), "sub", id="sub is a number"),
    pytest.param(signed(sub=None), "sub", id="sub is null"),
    pytest.param(signed(sub=["ann"]), "sub", id="sub is a list"),
    pytest.param(signed(sub="x" * 257), "sub", id="sub is too long"),
    pytest.param(signed(sub="a\0b"), "sub", id="sub has a NUL"),
    pytest.param(signed(sub="server"), "sub", id="sub is who knows the key"),
    pytest.param(written(json.dumps(claims(sub="?")).replace("?", "\\ud800")), "claims", id="half"),
    pytest.param(signed(exp=...), "exp", id="no exp"),
    pytest.param(signed(exp=None), "exp", id="exp is null"),
    pytest.param(signed(exp="9999999999"), "exp", id="exp is a text"),
    pytest.param(signed(exp=True), "exp", id="exp is true"),
    pytest.param(signed(exp=float("inf")), "exp", id="exp is infinite"),
    pytest.param(signed(exp=float("nan")), "exp", id="exp is no number"),
    pytest.param(signed(exp=10**400), "exp", id="exp is longer than numbers are"),
    pytest.param(signed(exp=1e300), "valid too long", id="exp is in no calendar"),
    pytest.param(signed(exp=1e308, iat=-1e308), "valid too long", id="a life without end"),
    pytest.param(signed(iat=...), "iat", id="no iat"),
    pytest.param(signed(iat="now"), "iat", id="iat is a text"),
    pytest.param(signed(iat=-float("inf")), "iat", id="iat is infinite"),
    pytest.param(signed(nbf="now"), "nbf", id="nbf is a text"),
    pytest.param(signed(iat=8e9, exp=9e9), "issued later", id="from tomorrow"),
    pytest.param(signed(nbf=9e9), "not yet valid", id="not yet valid"),
    pytest.param(signed(aud="chat"), "audience", id="for somebody, where nobody has a name"),
    pytest.param(signed(aud=["chat"]), "audience", id="for some, where nobody has a name"),
    pytest.param(signed(aud=""), "audience", id="for whom it does not say"),
    pytest.param(signed(aud=1), "aud", id="an audience that is a number"),
    pytest.param(signed(iss=["here"]), "iss", id="an issuer that is a list"),
    pytest.param(signed(scope=1), "scope", id="a scope that is a number"),
    pytest.param(signed(scp=[1]), "scp", id="a scope of numbers"),
    pytest.param(signed(jti=1), "jti", id="jti is a number"),
    pytest.param(signed(jti=""), "jti", id="jti is empty"),
    pytest.param(signed(jti="x" * 257), "jti", id="jti is too long"),
    pytest.param(signed(typ="ID"), "kind", id="an ID token of Keycloak"),
    pytest.param(signed(typ="Refresh"), "kind", id="a refresh token of Keycloak"),
    pytest.param(signed(typ=["Bearer"]), "typ", id="typ is a list"),
    pytest.param(signed(token_use="id"), "kind", id="an ID token of Cognito"),
]


@pytest.mark.parametrize(("token", "why"), REFUSED)
async def test_anything_else_proves_nothing(token: str, why: str) -> None:
    assert await refusal(token) == (CloseCode.UNAUTHENTICATED, why)


@pytest.mark.parametrize("expired", [1, 60, 10**8, 1e300])
async def test_a_token_that_has_expired_says_so(expired: float) -> None:
    end = claims()["iat"] - expired
    token = signed(exp=end, iat=end - 600)
    assert await refusal(token) == (CloseCode.CREDENTIAL_EXPIRED, "expired")


@pytest.mark.parametrize(
    "wrong",
    [{"iss": "there"}, {"aud": "x"}, {"typ": "ID"}, {"sub": "server"}, {"nbf": 9e9}, {"iat": 9e9}],
    ids=str,
)
async def test_only_who_would_be_let_in_hears_that_a_token_has_expired(
    settings: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    settings.setenv("APP_JWT_ISSUER", "here")
    expired: dict[str, Any] = {"iss": "here", "iat": NOW, "exp": NOW + 1}
    assert (await refusal(signed(**expired)))[0] is CloseCode.CREDENTIAL_EXPIRED
    assert (await refusal(signed(**(expired | wrong))))[0] is CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exp": NOW + 0.001}, ""),
        ({"exp": NOW}, "expired"),
        ({"iat": NOW + 30}, ""),
        ({"iat": NOW + 30.001}, "issued later"),
        ({"nbf": NOW + 30}, ""),
        ({"nbf": NOW + 30.001}, "not yet valid"),
        ({"exp": NOW + LONGEST_SECONDS}, ""),
        ({"exp": NOW + LONGEST_SECONDS + 0.001}, "valid too long"),
    ],
)
async def test_clocks_may_differ_by_half_a_minute_and_an_end_is_an_end(
    changed: dict[str, Any], why: str
) -> None:
    keys = OneKey(VerifyingKey("HS256", secret_key(SECRET)))
    tokens = Tokens(keys, clock=lambda: float(NOW))
    token = signed(**{"iat": NOW, "exp": NOW + 60, **changed})
    if why:
        assert (await refusal(token, tokens))[1] == why
    else:
        assert (await tokens.verify(token)).user == "ann"


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        ("https://a.example/", ""),
        ("https://a.example", "issuer"),
        ("https://a.example/b", "issuer"),
        ("", "issuer"),
        (None, "issuer"),
        (..., "issuer"),
    ],
)
async def test_the_issuer_that_is_set_is_the_only_one(
    settings: pytest.MonkeyPatch, issuer: object, why: str
) -> None:
    settings.setenv("APP_JWT_ISSUER", "https://a.example/")
    token = signed(iss=issuer)
    if why:
        assert (await refusal(token))[1] == why
    else:
        assert (await verified(token)).user == "ann"


@pytest.mark.parametrize(
    ("audience", "why"),
    [
        ("chat", ""),
        (["other", "chat"], ""),
        ("chats", "audience"),
        ("other chat", "audience"),
        (["other"], "audience"),
        ([], "audience"),
        (None, "audience"),
        (..., "audience"),
    ],
)
async def test_the_audience_that_is_set_is_among_those_named(
    settings: pytest.MonkeyPatch, audience: object, why: str
) -> None:
    settings.setenv("APP_JWT_AUDIENCE", "chat")
    token = signed(aud=audience)
    if why:
        assert (await refusal(token))[1] == why
    else:
        assert (await verified(token)).user == "ann"


@pytest.mark.parametrize("key", [SigningKey(key=rsa_key()), SigningKey()], ids=["RSA", "EC"])
async def test_a_public_key_verifies_by_its_algorithm_and_no_other(
    settings: pytest.MonkeyPatch, key: SigningKey
) -> None:
    settings.setenv("APP_JWT_PUBLIC_KEY", key.public.replace("\n", "\\n"))
    assert (await verified(key.token(headers={"kid": "any"}))).user == "ann"
    for secret in (key.public, key.public.strip()):
        confused = forged(HEADER, claims(), secret.encode())
        assert await refusal(confused) == (CloseCode.UNAUTHENTICATED, "algorithm")
    assert (await refusal(signed()))[1] == "algorithm"
    assert (await refusal(SigningKey(key=rsa_key(number=1)).token()))[0] == 4500
    assert (await refusal(SigningKey().token()))[0] == 4500
    assert (await refusal(forged({"alg": "none"}, claims(), b"")))[1] == "algorithm"


async def test_who_holds_a_token_cannot_write_it_so_that_it_is_another() -> None:
    """A revocation names a token; of a signature there are several spellings."""
    key = SigningKey()
    tokens = Tokens(OneKey(from_pem(key.public)))
    token = key.token()
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    respelled = f"{text}.{encoded(other)}"
    assert respelled != token
    token_id = (await tokens.verify(token)).token_id
    assert token_id
    assert (await tokens.verify(respelled)).token_id == token_id
    assert (await tokens.verify(key.token(sub="bob"))).token_id != token_id
    assert (await tokens.verify(key.token(jti="one"))).token_id == "one"


async def test_that_keys_cannot_be_had_now_says_nothing_about_a_token() -> None:
    class Away:
        async def find(self, kid: str | None) -> VerifyingKey | None:
            raise Unavailable

    with capture_logs() as logs, pytest.raises(Unavailable):
        await Tokens(Away()).verify(signed())
    assert logs == []


@pytest.mark.parametrize(
    "secret",
    [
        "12345678901234567890123456789012",
        '"quoted, and long enough to be used"',
        '{"k": "v", "and": "long enough to be used"}',
        '["long enough", "to be used", "as a secret"]',
        "Schlüssel mit Umlauten und Länge: äöü",
        " blanks around a secret that is long ",
    ],
)
async def test_any_secret_that_is_long_enough_works(bare: pytest.MonkeyPatch, secret: str) -> None:
    """Also with tokens that others signed with it."""
    bare.setenv("APP_JWT_SECRET", secret)
    signing_secret.cache_clear()
    own = sign("ann", name=None, scopes=frozenset(), seconds=60)
    for token in (own, forged(HEADER, claims(), secret.encode())):
        assert (await verified(token)).user == "ann"


def test_what_is_known_to_leak_keys_is_not_even_loaded() -> None:
    """python-jose brings `ecdsa` along, whose signatures take a time that depends on the key."""
    program = (
        "import sys, app.main; print({'ecdsa', 'rsa'} & {*sys.modules}, 'jose' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set() True\n"
