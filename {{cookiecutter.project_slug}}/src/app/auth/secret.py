"""The secret that signs tokens: from the environment; in development one that lasts."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_urlsafe
from tempfile import NamedTemporaryFile

import structlog

from ..settings import Section

log = structlog.stdlib.get_logger(__name__)

DEVELOPMENT_SECRET = Path(".development-secret")
"""Ignored by git; tokens signed in development outlive a restart because of it."""

SHORTEST = 32
FEWEST_DISTINCT = 10
"""Different characters: what was drawn at random has more, what was typed to be long has not."""

_COMMAND = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


class SecretSettings(Section):
    """`APP_JWT_SECRET`, which whoever knows it can sign any identity with."""

    jwt_secret: str | None = None

    def complaints(self) -> Iterator[str]:
        """Refuse a secret that can be guessed."""
        if self.jwt_secret is not None:
            yield from guessable("APP_JWT_SECRET", self.jwt_secret)

    def missing(self) -> Iterator[str]:
        """The complaint of whatever signs with it: real users need one that stays."""
        if self.jwt_secret is None and self.in_production:
            yield f"APP_JWT_SECRET is missing: make one with {_COMMAND}"


def guessable(variable: str, value: str) -> Iterator[str]:
    """The complaint of a variable whose value is no secret."""
    if len(value) < SHORTEST:
        yield f"{variable} is shorter than {SHORTEST} characters: make one with {_COMMAND}"
    elif len(set(value)) < FEWEST_DISTINCT:
        yield f"{variable} repeats itself and can be guessed: make one with {_COMMAND}"


@cache
def signing_secret() -> str:
    """The secret of this service."""
    return SecretSettings().jwt_secret or _development_secret()


def _development_secret() -> str:
    try:
        _keep_once(DEVELOPMENT_SECRET, token_urlsafe(SHORTEST))
        secret = DEVELOPMENT_SECRET.read_text()
        if len(secret) < SHORTEST:
            raise OSError("a start was cut short before it had written the secret")
        return secret
    except OSError:
        log.warning("no development secret could be kept: tokens end with this process")
        return token_urlsafe(SHORTEST)


def _keep_once(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless it is there.

    Several workers that start at the same time find it whole, or not at all.
    """
    if path.exists():
        return
    with NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.") as draft:
        draft.write(text)
        draft.flush()
        with suppress(FileExistsError):
            path.hardlink_to(draft.name)
