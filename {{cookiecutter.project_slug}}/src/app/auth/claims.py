"""What a token says of itself and of its user, and what it must say to be believed."""

import re
from datetime import UTC, datetime
from typing import Annotated

from jose.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..protocol.errors import CloseCode
from .base import LEEWAY, SERVER, Principal
from .revocation import LONGEST_SECONDS

LONGEST = 4096
"""Characters of a token; it is not even decoded beyond that."""
LONGEST_HEADER = 1024
LONGEST_NAME = 256

# Three parts of base64 and nothing else: python-jose passes over what is not base64.
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

Moment = Annotated[float, Field(allow_inf_nan=False)]
Words = str | list[str]


class Refused(Exception):
    """Why a token proves nothing, in a word of ours that says nothing of what stands in it."""

    def __init__(self, why: str, code: CloseCode = CloseCode.UNAUTHENTICATED) -> None:
        super().__init__(why)
        self.why = why
        self.code = code


class Header(BaseModel):
    """What a token says of its signature; the key decides the algorithm."""

    model_config = ConfigDict(strict=True)

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: object = None


class Claims(BaseModel):
    """What a token says of a user; what it says beside that is passed over."""

    model_config = ConfigDict(strict=True)

    sub: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
    exp: Moment
    iat: Moment
    nbf: Moment | None = None
    iss: str | None = None
    aud: Words | None = None
    scope: Words | None = None
    scp: Words | None = None
    jti: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    name: object = None
    typ: str | None = None
    token_use: str | None = None

    def check(self, now: float, issuer: str | None, audience: str | None) -> None:
        """Raise Refused unless it is for this service and now."""
        # Keycloak and Cognito sign other kinds of tokens with the same key.
        if (self.typ or "Bearer").lower() != "bearer" or (self.token_use or "access") != "access":
            raise Refused("kind")
        if self.sub == SERVER.user:
            raise Refused("sub")
        if issuer and self.iss != issuer:
            raise Refused("issuer")
        self._check_audience(audience)
        if self.iat > now + LEEWAY:
            raise Refused("issued later")
        if self.nbf is not None and self.nbf > now + LEEWAY:
            raise Refused("not yet valid")
        if self.exp - self.iat > LONGEST_SECONDS:
            raise Refused("valid too long")
        if self.exp <= now:
            raise Refused("expired", CloseCode.CREDENTIAL_EXPIRED)

    def _check_audience(self, audience: str | None) -> None:
        named = [self.aud] if isinstance(self.aud, str) else self.aud or []
        # RFC 7519, 4.1.3: who is not among those named must refuse; so who has no name, too.
        if (named or audience) and audience not in named:
            raise Refused("audience")

    def principal(self, token_id: str, ahead: float) -> Principal:
        """Whom it is about; where it has no `jti`, it is revoked by `token_id`.

        Who signed it has a clock that may be so many seconds ahead: it counts as issued earlier.
        """
        return Principal(
            user=self.sub,
            name=_shown(self.name),
            scopes=_words(self.scope) | _words(self.scp),
            token_id=self.jti or token_id,
            issued_at=datetime.fromtimestamp(self.iat - ahead, UTC),
            expires_at=datetime.fromtimestamp(self.exp, UTC),
        )


def read_header(token: str) -> Header:
    """The header of what has the form of a token; Refused if it asks for what we do not do."""
    parts = _TOKEN.fullmatch(token) if len(token) <= LONGEST else None
    if parts is None:
        raise Refused("form")
    try:
        if len(parts[1]) > LONGEST_HEADER:
            raise ValueError("too long")
        header = Header.model_validate_json(base64url_decode(parts[1].encode()))
    except ValueError:
        raise Refused("header") from None
    # RFC 7515, 4.1.11: python-jose passes over extensions that must be understood.
    if "crit" in header.model_fields_set:
        raise Refused("crit")
    if (header.typ or "JWT").lower().removeprefix("application/") not in ("jwt", "at+jwt"):
        raise Refused("header typ")
    return header


def read_claims(payload: bytes) -> Claims:
    """What a token says; Refused by the name of a claim that is missing or makes no sense."""
    try:
        return Claims.model_validate_json(payload)
    except ValidationError as error:
        place = error.errors(include_input=False)[0]["loc"]
        raise Refused(str(place[0]) if place else "claims") from None


def _shown(name: object) -> str | None:
    """A name as others may see it; where there is none, the user goes by the id."""
    text = name if isinstance(name, str) else ""
    return "".join(filter(str.isprintable, text)).strip()[:LONGEST_NAME] or None


def _words(value: Words | None) -> frozenset[str]:
    return frozenset(value.split() if isinstance(value, str) else value or ())
