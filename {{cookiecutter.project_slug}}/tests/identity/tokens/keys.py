"""Tokens that say something of the key that signed them, or were signed with what all can read."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...auth.provider import forged
from .case import Case, headed
from .issuer import Issuer, signed_by


def _confused(form: Callable[[str], str], issuer: Issuer) -> str:
    header = {"alg": "HS256", "typ": "JWT", **issuer.header}
    return forged(header, issuer.claims(), form(issuer.public).encode())


CONFUSED = [
    Case("its public key as a secret", partial(_confused, str)),
    Case("the same, without the last line break", partial(_confused, str.strip)),
    Case("the same, in one line", partial(_confused, lambda pem: pem.replace("\n", "\\n"))),
    Case("the same, without a frame", partial(_confused, lambda pem: pem.split("-----")[2])),
]
"""Where a key is known to everybody, so is this secret."""

NAMED = [
    headed("a key of this name that signed something else", kid="second"),
    headed("no name of a key", kid=None),
]
"""Where there are several keys, each is known by its name: by these none is."""

UNKNOWN = [
    headed("an unknown key", kid="unknown"),
    headed("a key with an empty name", kid=""),
    headed("a key that is a path", kid="../../dev/null"),
    headed("a key that is a URL", jku="https://evil.example/keys", kid="evil"),
]
"""Names that none has; before that is certain, the provider has to be asked."""

NAMELESS = [replace(each, code=None) for each in (*NAMED, *UNKNOWN)]
"""Where there is one key only, it is tried whatever it is called."""

OF_THE_SET = [
    Case("another key of the set", lambda _: signed_by("second"), None),
    Case("a key of the set on a curve", lambda _: signed_by("curve", "ES256"), None),
    Case("that one, called as an RSA key", lambda _: signed_by("curve", "ES256", named="first")),
    Case("an RSA key, called as that one", lambda _: signed_by("first", named="curve")),
    Case(
        "a stranger's, called as that one", lambda _: signed_by("mallory", "ES256", named="curve")
    ),
]
"""Where keys of both kinds are in one set."""
