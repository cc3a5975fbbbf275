"""How many connections that are no WebSockets an address has: silent ones take a place, too."""

from functools import cache, lru_cache
from ipaddress import ip_address

from ..settings import Limits, Proxy, ServerSettings
from ..tally import Tally, origin_of


@cache
def crowd() -> Tally:
    """Counts them, in this process."""
    return Tally(Limits().connections_per_address)


@lru_cache(4096)
def origin(address: str) -> str | None:
    """What an address counts as; None for a trusted proxy, through which anybody may come."""
    ip = ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return None if any(ip in each for each in _proxies()) else origin_of(address)


@cache
def _proxies() -> tuple[Proxy, ...]:
    return ServerSettings().trusted_proxies
