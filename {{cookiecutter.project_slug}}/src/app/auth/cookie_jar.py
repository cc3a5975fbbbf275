"""The cookie itself: what it is called, how it is set and read, and what it must not be without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import Response
from starlette.requests import HTTPConnection

from ..settings import Section
from .origins import OriginSettings

LARGEST = 4096
"""Bytes of a cookie's name and what it holds; browsers drop a larger one without a word."""


class CookieSettings(Section):
    """`APP_COOKIE_SECURE`: whether browsers send the cookie over TLS only."""

    cookie_secure: bool | None = None

    @property
    def secure(self) -> bool:
        """Over TLS only, unless this is development."""
        return self.in_production if self.cookie_secure is None else self.cookie_secure

    @property
    def name(self) -> str:
        """The prefix has browsers refuse what another host, or plain HTTP, tries to set."""
        return "__Host-session" if self.secure else "session"

    def complaints(self) -> Iterator[str]:
        """Refuse what would let other pages, or the network, act as a user."""
        if self.in_production and not self.secure:
            yield "APP_COOKIE_SECURE=false sends cookies in plain text: unset it in production"
        if self.in_production:
            yield from self._of_the_origins(OriginSettings().allowed_origins)

    def _of_the_origins(self, allowed: Sequence[str]) -> Iterator[str]:
        if not allowed:
            yield (
                "APP_ALLOWED_ORIGINS is missing: cookies need the origins of your pages, "
                "as in https://app.example.com"
            )
        for origin in allowed:
            if not origin.startswith("https://"):
                yield (
                    f"APP_ALLOWED_ORIGINS has {origin}, which is not https: whoever is in between "
                    "could put pages there that act as your users"
                )


@dataclass(frozen=True)
class Jar:
    """Sets the cookie, and reads it."""

    settings: CookieSettings

    def fits(self, token: str) -> bool:
        """Whether browsers keep it."""
        return len(self.settings.name) + len(token) <= LARGEST

    def held(self, connection: HTTPConnection) -> list[str]:
        """What each cookie of this name holds: who has a host beside this one may add some."""
        headers = connection.headers.getlist("cookie")
        pairs = (pair.partition("=") for header in headers for pair in header.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.settings.name]

    def keep(self, response: Response, token: str, seconds: int) -> None:
        """Let the browser keep a token for so long; for no time at all, forget it."""
        response.set_cookie(
            self.settings.name,
            token,
            max_age=seconds,
            path="/",
            secure=self.settings.secure,
            httponly=True,
            samesite="strict",
        )
