"""Which pages may connect: those of the service's own origin, or those that are named."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator
from starlette.requests import HTTPConnection

from ..settings import Listed, Section


def _origin(text: str) -> str:
    return text.lower().rstrip("/")


Origin = Annotated[str, AfterValidator(_origin)]


class OriginSettings(Section):
    """`APP_ALLOWED_ORIGINS`: where pages come from that may connect; else from here only."""

    allowed_origins: Annotated[tuple[Origin, ...], *Listed] = ()


class Origins:
    """Tells pages that may connect from others, by what their browser says of where they are."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def admit(self, connection: HTTPConnection, *, required: bool) -> bool:
        """Whether a page of this origin may ask; without any only if it is not `required`."""
        said = connection.headers.getlist("origin")
        if not said:
            return not required
        return len(said) == 1 and self._is_allowed(said[0].lower(), connection)

    def _is_allowed(self, origin: str, connection: HTTPConnection) -> bool:
        if self._allowed:
            return origin in self._allowed
        return origin.partition("://")[2] == connection.headers.get("host")
