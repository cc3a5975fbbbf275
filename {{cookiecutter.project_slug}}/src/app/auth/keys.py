"""Which keys verify tokens: a secret, a public key, or what an identity provider publishes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from jose import jwk
from jose.backends.base import Key
from jose.exceptions import JWKError

from .jwks import open_jwks
from .public_key import Algorithm, VerifyingKey, from_pem
from .secret import SecretSettings, signing_secret


class TokenSettings(SecretSettings):
    """`APP_JWT_...`: who signs tokens, and for whom; by itself the service signs with a secret."""

    jwt_algorithm: Algorithm | None = None
    jwt_public_key: str | None = None
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    @property
    def signed_elsewhere(self) -> bool:
        """Whether tokens come from an identity provider, whose keys cannot sign here."""
        return bool(self.jwt_public_key or self.jwt_jwks_url)

    def complaints(self) -> Iterator[str]:
        """Refuse keys that are too weak, or none, and settings that contradict each other."""
        if not self.signed_elsewhere:
            yield from self._of_the_secret()
            return
        if self.jwt_public_key and self.jwt_jwks_url:
            yield "APP_JWT_PUBLIC_KEY and APP_JWT_JWKS_URL both say where keys are: unset one"
        if self.jwt_algorithm == "HS256":
            yield "APP_JWT_ALGORITHM=HS256 is for a secret, not for a public key: unset it"
        if self.in_production and not (self.jwt_issuer and self.jwt_audience):
            yield (
                "APP_JWT_ISSUER and APP_JWT_AUDIENCE must both be set: else tokens that the "
                "identity provider signed for others would do here, too"
            )
        if self.jwt_public_key:
            yield from self._of_the_public_key(self.jwt_public_key)
        if self.jwt_jwks_url:
            yield from self._of_the_url(self.jwt_jwks_url)

    def _of_the_secret(self) -> Iterator[str]:
        yield from self.missing()
        if self.jwt_algorithm not in (None, "HS256"):
            yield (
                f"APP_JWT_ALGORITHM={self.jwt_algorithm} needs a public key: set "
                "APP_JWT_PUBLIC_KEY or APP_JWT_JWKS_URL"
            )
        try:
            secret_key(self.jwt_secret or "")
        except (JWKError, UnicodeEncodeError):
            yield "APP_JWT_SECRET is a key in PEM or SSH form, or no text: it cannot be a secret"

    def _of_the_public_key(self, text: str) -> Iterator[str]:
        try:
            algorithm = from_pem(text).algorithm
        except ValueError as wrong:
            yield f"APP_JWT_PUBLIC_KEY {wrong}"
            return
        if self.jwt_algorithm not in (None, "HS256", algorithm):
            yield f"APP_JWT_ALGORITHM={self.jwt_algorithm}, but APP_JWT_PUBLIC_KEY is {algorithm}"

    def _of_the_url(self, url: str) -> Iterator[str]:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and parts.port != 0 and url.isascii() and url.isprintable()
        except ValueError:
            usable = False
        if not usable:
            yield "APP_JWT_JWKS_URL is no URL of the form https://host/path"
        elif self.in_production and parts.scheme != "https":
            yield "APP_JWT_JWKS_URL is not https: whoever is in between could give keys of theirs"


class Keys(Protocol):
    """Finds what verifies a token."""

    async def find(self, kid: str | None) -> VerifyingKey | None:
        """The key of this name, if there is one; raises Unavailable if nobody can know now."""
        ...


class OneKey:
    """The only key there is, whatever name a token gives it."""

    def __init__(self, key: VerifyingKey) -> None:
        self._key = key

    async def find(self, kid: str | None) -> VerifyingKey | None:
        """That key."""
        return self._key


def secret_key(secret: str) -> Key:
    """The secret as a key: python-jose would read a secret that happens to be JSON as JSON."""
    return jwk.construct(secret, "HS256")


@asynccontextmanager
async def open_keys(settings: TokenSettings) -> AsyncIterator[Keys]:
    """The keys of this service."""
    if settings.jwt_jwks_url:
        async with open_jwks(settings.jwt_jwks_url, settings.jwt_algorithm) as keys:
            yield keys
    elif settings.jwt_public_key:
        yield OneKey(from_pem(settings.jwt_public_key))
    else:
        yield OneKey(VerifyingKey("HS256", secret_key(signing_secret())))
