"""Every kind of token that may come, by name, and what becomes of a connection that shows it."""

import json
from functools import partial

from jose import jwk

from ...auth.provider import encoded
from ...auth.provider import forged as hmac_signed
from .case import (
    EXPIRED,
    UNAUTHENTICATED,
    Case,
    bare,
    changed,
    claiming,
    dated,
    forged,
    headed,
    parts,
    saying,
)
from .issuer import Issuer, signed_by, signing

DAY = 86_400


def _deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def _deep_claims(issuer: Issuer) -> str:
    claims = json.dumps(issuer.claims())
    return issuer.by_hand(claims=f'{claims[:-1]}, "deep": {_deep(900)}}}')


def _own_key(issuer: Issuer) -> str:
    """What is signed by a key that the token brings along."""
    algorithm = "RS256" if issuer.algorithm == "HS256" else issuer.algorithm
    pair = signing("mallory", algorithm)
    key = jwk.construct(pair.public, algorithm).to_dict()
    return Issuer(pair.private, algorithm, {"jwk": key}).token()


def _longer(issuer: Issuer) -> str:
    return f"{issuer.algorithm[:2]}512"


def _lower(issuer: Issuer) -> str:
    return issuer.algorithm.lower()


def _stranger(issuer: Issuer) -> str:
    secret = issuer.algorithm == "HS256"
    return (
        "another secret of 32 characters!!"
        if secret
        else signing("mallory", issuer.algorithm).private
    )


def _by_secret(secret: bytes, issuer: Issuer) -> str:
    return hmac_signed({"alg": "HS256", "typ": "JWT"}, issuer.claims(), secret)


WELCOME = [
    Case("valid", lambda issuer: issuer.token(), None),
    Case("valid, made by hand", lambda issuer: issuer.by_hand(), None),
    claiming("one audience of several", None, aud=["another", "the-service"]),
    claiming("a name that is no text", None, name=["Ann"]),
    claiming("a subject as providers have them", None, sub="auth0|5f7c8ec7c33c6c004bbafe82"),
    claiming("an access token of Keycloak", None, typ="Bearer"),
    headed("an access token by RFC 9068", None, typ="at+jwt"),
    headed("a header without a type", None, typ=None),
    dated("clocks differ by a little", None, iat=5, nbf=5, exp=600),
]

MALFORMED = [
    bare("one letter", "x"),
    bare("two parts", f"{encoded({'alg': 'HS256'})}.{encoded({})}"),
    bare("three parts of junk", "a.b.c"),
    bare("dots", "..."),
    bare("a path", "../../etc/passwd"),
    changed("two parts of a good one", parts(lambda each: each[:2])),
    changed("four parts", parts(lambda each: [*each, each[2]])),
    changed("five parts, as if encrypted", parts(lambda each: [*each, "AAAA", "AAAA"])),
    changed("base64 junk after it", lambda token: f"{token}!!!!"),
    changed("base64 junk inside", lambda token: token.replace(".", "!!!!.", 1)),
    changed("padding after it", lambda token: f"{token}="),
    changed("more signature", lambda token: f"{token}AAAA"),
    changed("less signature", lambda token: token[:-4]),
    changed("another signature", parts(lambda each: [*each[:2], each[2][::-1]])),
    changed("other claims", parts(lambda each: [each[0], encoded({"sub": "bob"}), each[2]])),
    saying("claims that are a list", []),
    saying("claims that are null", None),
    saying("claims that are a number", 1),
    saying("claims that are no JSON", "{"),
    saying("claims that are no text", b"\xff\xfe\x00"),
]

DATES = [
    dated("expired", EXPIRED, iat=-700, exp=-60),
    dated("expired a moment ago", EXPIRED, iat=-700, exp=0),
    dated("expired long ago", EXPIRED, iat=-2 * DAY, exp=-DAY),
    dated("not yet valid", UNAUTHENTICATED, nbf=600),
    dated("issued in the future", UNAUTHENTICATED, iat=600, exp=1200),
    dated("good for years", UNAUTHENTICATED, exp=5 * 365 * DAY),
    dated("good for longer than a revocation is kept", UNAUTHENTICATED, exp=31 * DAY),
    claiming("no end", exp=None),
    claiming("no beginning", iat=None),
    claiming("an end that is a word", exp="soon"),
    claiming("an end that is true", exp=True),
    claiming("an end in no calendar", exp=10**18),
    claiming("an infinite end", exp=float("inf")),
    claiming("a beginning that is no number", iat=float("nan")),
    claiming("a beginning before all calendars", iat=-(10**18)),
]

PEOPLE = [
    claiming("another issuer", iss="https://evil.example"),
    claiming("no issuer", iss=None),
    claiming("an issuer that begins alike", iss="https://issuer.example.evil.example"),
    claiming("several issuers", iss=["https://issuer.example"]),
    claiming("another audience", aud="another-service"),
    claiming("other audiences", aud=["another-service", "the-service-2"]),
    claiming("no audience", aud=None),
    claiming("an empty audience", aud=[]),
    claiming("an audience that is a part", aud="the"),
    claiming("no subject", sub=None),
    claiming("an empty subject", sub=""),
    claiming("a subject that is a number", sub=1),
    claiming("a subject that is a list", sub=["ann"]),
    claiming("a subject that is an object", sub={"id": "ann"}),
    claiming("a subject that is too long", sub="a" * 257),
    claiming("a subject with a NUL", sub="ann\0"),
    claiming("half of a character", sub="\ud800"),
    claiming("the subject of servers", sub="server"),
]

TYPES = [
    headed("a header of a logout token", typ="logout+jwt"),
    headed("a header of a security event", typ="secevent+jwt"),
    headed("a header of a proof of possession", typ="dpop+jwt"),
    headed("a type that is a number", typ=1),
    claiming("a refresh token of Keycloak", typ="Refresh"),
    claiming("an ID token of Keycloak", typ="ID"),
    claiming("an ID token of Cognito", token_use="id"),
    headed("extensions that must be understood", crit=["b64"], b64=False),
    headed("no extensions that must be understood", crit=[]),
    headed("a name of a key that is a number", kid=1),
]

SIGNATURES = [
    Case("another algorithm", lambda issuer: issuer.but(algorithm=_longer(issuer)).by_hand()),
    Case("another algorithm than it says", lambda issuer: issuer.by_hand({"alg": _longer(issuer)})),
    Case("the algorithm in another case", lambda issuer: issuer.by_hand({"alg": _lower(issuer)})),
    headed("no algorithm", alg=None),
    headed("an algorithm that is a list", alg=["HS256", "RS256"]),
    Case("another key", lambda issuer: issuer.but(key=_stranger(issuer)).token()),
    Case("a stranger's RSA key", lambda _: signed_by("mallory", named="first")),
    Case("a stranger's key on a curve", lambda _: signed_by("mallory", "ES256", named="first")),
    Case("a key that it brings along", _own_key),
    Case("an empty key", partial(_by_secret, b"")),
    Case("a key that all know", partial(_by_secret, b"secret")),
    *(forged(f"no signature: {alg}", {"alg": alg}, "") for alg in ("none", "NONE", "HS256")),
    *(forged(f"nobody's signature: {alg}", {"alg": alg}) for alg in ("none", "nOnE", "none ", "")),
    Case("a signed token that says none", lambda issuer: issuer.by_hand({"alg": "none"})),
]

SIZES = [
    Case("oversized", lambda issuer: issuer.token(name="x" * 4000)),
    Case("oversized beyond a field", lambda issuer: issuer.token(name="x" * 8000), beyond="field"),
    Case(
        "oversized beyond a header", lambda issuer: issuer.token(name="x" * 16_000), beyond="header"
    ),
    headed("a name of a key that is long", kid="k" * 1000),
    forged("a header that is a deep list", _deep(1400)),
    forged("a header that is deep", f'{{"alg": "HS256", "typ": "JWT", "deep": {_deep(300)}}}'),
    forged("a header that does not end", "[" * 2800),
    Case("claims that are deep", _deep_claims),
    saying("claims that are a deep list", _deep(900)),
    saying("claims that do not end", "[" * 2000),
]

CASES = [*WELCOME, *MALFORMED, *DATES, *PEOPLE, *TYPES, *SIGNATURES, *SIZES]
