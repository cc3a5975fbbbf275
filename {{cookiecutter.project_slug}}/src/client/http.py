"""Asks the service over HTTP for what a connection is to show."""

import re
from ssl import SSLContext
from typing import Any
from urllib.parse import urljoin

import httpx2
from websockets.uri import parse_uri

from .errors import ConnectionLost

SECONDS = 10.0
"""How long each step of a request may take."""

EXPIRED = "credential expired"
"""How the service calls what it closes connections for with 4100."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750; nothing else may stand in a header


async def post(
    url: str, path: str, token: str | None, ssl: SSLContext | None, **body: Any
) -> httpx2.Response:
    """The answer to whom a token proves, or to anybody, at a path beside the socket's.

    What goes wrong is a ConnectionLost, as it is with the handshake that was to follow.
    """
    service = parse_uri(url)
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise ConnectionLost(4500, "this is no token")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # Certificates take long to load, and proxies do not reach what is on this machine.
    verify, trusts = ssl or service.secure, service.host not in LOOPBACK
    target = urljoin("http" + url.removeprefix("ws"), path)
    try:
        async with httpx2.AsyncClient(verify=verify, trust_env=trusts, timeout=SECONDS) as http:
            answer = await http.post(target, headers=headers, **body)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ConnectionLost(1006, f"{path}: {str(error) or type(error).__name__}") from None
    if answer.is_success:
        return answer
    raise _refusal(answer)


def _refusal(answer: httpx2.Response) -> ConnectionLost:
    try:
        why = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        why = answer.reason_phrase
    if answer.status_code == 401 and why == EXPIRED:
        return ConnectionLost(4100, why)
    after = answer.headers.get("Retry-After", "")
    seconds = float(after) if after.isdecimal() else None
    return ConnectionLost(answer.status_code, why, retry_after=seconds)
