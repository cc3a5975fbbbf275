"""The server that a URL names, or that the Sentinels of a URL know."""

import re
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

ONCE = Retry(NoBackoff(), 0)
OURS: dict[str, Any] = {
    "decode_responses": False,
    "protocol": 2,
    "retry": ONCE,
    # Who asks says how long it may take; redis-py would start a task for each command that it
    # sends with a timeout, and on Python 3.11 sometimes lose a cancellation there.
    "socket_connect_timeout": None,
    "socket_timeout": None,
}
"""What no URL changes."""

# Not by urllib: newer versions of it take several hosts, one in brackets, for a mistake.
SENTINELS = re.compile(
    r"(rediss?)\+sentinel://((?:[^@/]*@)?)([^@/]+)/([^/?]+)/?(\d*)((?:\?.*)?)", re.DOTALL
)


def is_address(url: str) -> bool:
    """Whether a URL can be understood; why not would tell parts of a password."""
    try:
        pool_of(url, 1).make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        return False
    return True


def pool_of(url: str, seconds: float) -> ConnectionPool:
    """What makes connections to a server, and asks Sentinels for it in so many seconds.

    `redis://user:password@host:6379/0`, `rediss://` for TLS, and for the server that Sentinels
    know by a name: `redis+sentinel://user:password@host:26379,host:26379/name/0`. The rest is
    said by redis-py's parameters, as `?ssl_ca_certs=ca.pem`; where Sentinels want a password,
    by `?sentinel_password=`.
    """
    found = SENTINELS.fullmatch(url)
    if found is None:
        return ConnectionPool(**(_parameters(url) | OURS))
    scheme, user, hosts, name, database, query = found.groups()
    server = _parameters(f"{scheme}://{user}one/{database}{query}")
    del server["host"]
    server["ssl"] = server.pop("connection_class", None) is not None
    addresses = [_address(host) for host in hosts.split(",")]
    patience = seconds / (len(addresses) + 1)
    own = {each: server.pop(each) for each in list(server) if each.startswith("sentinel_")}
    asked = {each.removeprefix("sentinel_"): value for each, value in own.items()}
    asked |= {each: value for each, value in server.items() if each.startswith("ssl")}
    asked |= {"retry": ONCE, "socket_connect_timeout": patience, "socket_timeout": patience}
    sentinel = Sentinel(addresses, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    made: ConnectionPool = SentinelConnectionPool(name, sentinel, **(server | OURS))  # type: ignore[no-untyped-call]
    return made


def _parameters(url: str) -> dict[str, Any]:
    """What redis-py understands; by itself it takes a database that is no number for the first."""
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss") and not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError("no database")
    return {**parse_url(url)}


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    return name.strip("[]"), int(port)
