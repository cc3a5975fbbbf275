"""Which pages may connect: those of the service's own origin, or those that are named."""

import re
from collections.abc import Collection
from ipaddress import IPv6Address
from typing import Annotated

from pydantic import AfterValidator
from starlette.requests import HTTPConnection

from ..settings import Listed, Section

# Each label ends where the next begins, so that nothing is looked at twice.
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://"
    r"((?:[a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\])"
    r"(?::([1-9][0-9]{0,4}))?"
)
_OWN_PORT = {"http": "80", "https": "443"}


def canonical(origin: str) -> str | None:
    """An origin as browsers write it, without the scheme's own port; None if it is none."""
    if (found := _ORIGIN.fullmatch(origin)) is None:
        return None
    scheme, host, port = found.groups()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    if port in (None, _OWN_PORT.get(scheme)):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}" if int(port) <= 65535 else None


def _origin(text: str) -> str:
    if (origin := canonical(text.lower())) is None:
        shown = text.rpartition("@")[2]
        raise ValueError(f"{shown!r} is no origin: write https://app.example.com, or with a port")
    return origin


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
        origin = canonical(said[0]) if len(said) == 1 else None
        return origin is not None and self._is_allowed(origin, connection)

    def _is_allowed(self, origin: str, connection: HTTPConnection) -> bool:
        if self._allowed:
            return origin in self._allowed
        scheme, hosts = origin.partition(":")[0], connection.headers.getlist("host")
        # A page that came without TLS may not use what is here with it; the other way round, a
        # proxy may have taken the TLS away.
        over_tls = connection.scope.get("scheme") in ("https", "wss")
        if scheme not in (("https",) if over_tls else _OWN_PORT) or len(hosts) != 1:
            return False
        return origin == canonical(f"{scheme}://{hosts[0].lower()}")
