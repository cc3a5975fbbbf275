"""Which tokens prove somebody, which have expired, and which prove nothing."""

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from jose import jwk, jwt

from app.auth.base import Principal
from app.auth.secret import signing_secret
from app.auth.tokens import LONGEST, sign, verify
from app.protocol.errors import CloseCode, Disconnect

SECRET = "a secret of 32 characters or more"
NOW = int(time.time())
CLAIMS: dict[str, Any] = {"sub": "ann", "iat": NOW, "exp": NOW + 600}


@pytest.fixture(autouse=True)
def secret(bare: pytest.MonkeyPatch) -> None:
    """The secret that signs."""
    bare.setenv("APP_JWT_SECRET", SECRET)


def signed(
    secret: str = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    without: str = "",
    **claims: Any,
) -> str:
    """A token with some claims more or less."""
    all_claims = {name: each for name, each in (CLAIMS | claims).items() if name != without}
    return jwt.encode(all_claims, secret, algorithm, headers=headers)


def encoded(value: object) -> str:
    """One part of a token."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    """A token without a signature."""
    return f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(CLAIMS)}."


def refusal(token: str) -> CloseCode:
    """With what a token is refused."""
    with pytest.raises(Disconnect) as refused:
        verify(token)
    return refused.value.code


def test_a_token_proves_whom_it_was_signed_for() -> None:
    token = sign("auth0|1", name="Zoë", scopes=frozenset({"publish", "admin"}), seconds=60)
    principal = verify(token)
    assert principal.expires_at is not None
    assert 50 < (principal.expires_at - datetime.now(UTC)).total_seconds() <= 60
    assert principal == Principal(
        "auth0|1", "Zoë", frozenset({"publish", "admin"}), principal.expires_at
    )


def test_a_token_needs_no_name_and_no_scopes() -> None:
    principal = verify(sign("ann", name=None, scopes=frozenset(), seconds=60))
    assert (principal.name, principal.scopes) == (None, frozenset())


def test_two_tokens_are_never_the_same() -> None:
    tokens = {sign("ann", name=None, scopes=frozenset(), seconds=60) for _ in range(3)}
    assert len({jwt.get_unverified_claims(token)["jti"] for token in tokens}) == 3


@pytest.mark.parametrize("expired", [1, 60, 10**8])
def test_a_token_that_has_expired_says_so(expired: int) -> None:
    assert refusal(signed(exp=NOW - expired)) is CloseCode.CREDENTIAL_EXPIRED


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="nothing"),
        pytest.param("x", id="a letter"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c", id="three parts"),
        pytest.param("...", id="dots"),
        pytest.param(unsigned("none"), id="no signature"),
        pytest.param(unsigned("nOnE"), id="no signature in another case"),
        pytest.param(unsigned("HS256"), id="an empty signature"),
        pytest.param(signed(secret="another secret of 32 characters!!"), id="another secret"),
        pytest.param(signed(algorithm="HS512"), id="another algorithm"),
        pytest.param(signed()[:-4] + "AAAA", id="a changed signature"),
        pytest.param(signed().replace(".", ".AA", 1), id="changed claims"),
        pytest.param(signed(without="exp"), id="no exp"),
        pytest.param(signed(without="sub"), id="no sub"),
        pytest.param(signed(without="iat"), id="no iat"),
        pytest.param(signed(exp=None), id="exp is null"),
        pytest.param(signed(exp="soon"), id="exp is a word"),
        pytest.param(signed(exp=float("inf")), id="exp is infinite"),
        pytest.param(signed(exp=10**18), id="exp is in no calendar"),
        pytest.param(signed(nbf=NOW + 600), id="not yet good"),
        pytest.param(signed(sub=""), id="sub is empty"),
        pytest.param(signed(sub="x" * 257), id="sub is too long"),
        pytest.param(signed(sub="a\0b"), id="sub has a NUL"),
        pytest.param(signed(headers={"crit": ["b64"], "b64": False}), id="crit"),
        pytest.param(signed(headers={"crit": []}), id="an empty crit"),
        pytest.param(signed(name="x" * LONGEST), id="too long"),
        pytest.param("ü" + signed(), id="a letter that is no ASCII"),
        pytest.param("\ud800" + signed(), id="half of a character"),
        pytest.param(signed() + "!!!!", id="something after the token"),
        pytest.param(signed() + "\n", id="a line break after the token"),
        pytest.param(f"{encoded('[' * 2000)}.{encoded(CLAIMS)}.AAAA", id="a deep header"),
        pytest.param(f"{encoded([])}.{encoded(CLAIMS)}.AAAA", id="a header that is a list"),
        pytest.param(jwt.encode(CLAIMS, SECRET).replace(".", "=."), id="padding"),
    ],
)
def test_anything_else_proves_nothing(token: str) -> None:
    assert refusal(token) is CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize("sub", [1, None, ["ann"], {"id": "ann"}])
def test_a_subject_is_a_text(sub: object) -> None:
    token = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(CLAIMS | {'sub': sub})}"
    signature = jwk.construct(SECRET, "HS256").sign(token.encode())
    whole = f"{token}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refusal(whole) is CloseCode.UNAUTHENTICATED


def test_a_name_that_is_no_text_is_left_out() -> None:
    assert verify(signed(name=["Ann"])).name is None


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
def test_any_secret_that_is_long_enough_works(bare: pytest.MonkeyPatch, secret: str) -> None:
    """Also with tokens that others signed with it."""
    bare.setenv("APP_JWT_SECRET", secret)
    signing_secret.cache_clear()
    assert verify(sign("ann", name=None, scopes=frozenset(), seconds=60)).user == "ann"
    assert verify(signed(secret=secret)).user == "ann"
