"""One case of the table of tokens, and the ways in which tokens go wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .issuer import Issuer, unsigned

EXPIRED, UNAUTHENTICATED = 4100, 4500


@dataclass(frozen=True)
class Case:
    """A token, made anew each time, and how the connection ends: None where it is welcome."""

    name: str
    make: Callable[[Issuer], str]
    code: int | None = UNAUTHENTICATED
    beyond: Literal["field", "header"] | None = None
    """Which limit comes first, if the token is not even read."""


def bare(name: str, token: str) -> Case:
    """No token at all."""
    return Case(name, lambda issuer: token)


def changed(name: str, change: Callable[[str], str]) -> Case:
    """A token that was good before it was changed."""
    return Case(name, lambda issuer: change(issuer.token()))


def parts(change: Callable[[list[str]], Sequence[str]]) -> Callable[[str], str]:
    """A change of the three parts."""
    return lambda token: ".".join(change(token.split(".")))


def claiming(name: str, code: int | None = UNAUTHENTICATED, /, **claims: Any) -> Case:
    """A token that is signed, and says something else; None leaves out a claim."""
    return Case(name, lambda issuer: issuer.by_hand(claims=issuer.claims(**claims)), code)


def saying(name: str, claims: object) -> Case:
    """A token that is signed, and says something else altogether."""
    return Case(name, lambda issuer: issuer.by_hand(claims=claims))


def dated(name: str, code: int | None, /, **seconds: float) -> Case:
    """A token that is signed, and whose times are so many seconds from now."""

    def make(issuer: Issuer) -> str:
        claims = issuer.claims()
        now = claims["iat"]
        return issuer.by_hand(claims=claims | {name: now + each for name, each in seconds.items()})

    return Case(name, make, code)


def headed(name: str, code: int | None = UNAUTHENTICATED, /, **header: Any) -> Case:
    """A token that is signed, with another header; None leaves out a part of it."""
    return Case(name, lambda issuer: issuer.by_hand(header), code)


def forged(name: str, header: object, signature: str = "AAAA") -> Case:
    """A token that nobody signed."""
    return Case(name, lambda issuer: unsigned(header, issuer.claims(), signature))
