"""How many there are at once, by name: of a user, or of where connections come from."""

from ipaddress import IPv6Address


class Tally:
    """Counts those who are inside by name, and lets in at most so many of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def enter(self, name: str) -> bool:
        """Count one more; false if that were too many."""
        count = self._counts.get(name, 0)
        if count < self._most:
            self._counts[name] = count + 1
        return count < self._most

    def leave(self, name: str) -> None:
        """Count one less; nothing is kept of those who are gone."""
        self._counts[name] -= 1
        if not self._counts[name]:
            del self._counts[name]


def origin_of(address: str) -> str:
    """What an address counts as: of IPv6 its first 64 bits, since one customer has all of those."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address)
    except ValueError:
        return address
    # A listener of both kinds sees IPv4 inside IPv6: all of it would be one network.
    return str(ip.ipv4_mapped or ip.packed[:8].hex(":", 2))
