"""The keys that an identity provider publishes at a URL, with which it signs tokens now."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic
from typing import Annotated, Any

import httpx2
import structlog
from pydantic import BaseModel, Field

from ..protocol.errors import Unavailable
from .public_key import Algorithm, VerifyingKey, from_jwk

log = structlog.stdlib.get_logger(__name__)

FRESH_SECONDS = 300
"""For how long an answer is good; the next token after that has another one fetched."""
RETRY_SECONDS = 60
"""After how long a provider that did not answer is asked again, while there are keys."""
COOLDOWN_SECONDS = 10
"""Tokens that name keys nobody knows do not make more fetches than one in this time."""
FETCH_SECONDS = 5
LONGEST_ANSWER = 65_536
MOST_KEYS = 64

Fetch = Callable[[], Awaitable[bytes]]


class _KeySet(BaseModel):
    keys: Annotated[list[Any], Field(max_length=MOST_KEYS)]


class PublishedKeys:
    """Asks for keys when somebody needs them: rarely, once for all who wait, and in bounded time.

    Only who comes with a key that nobody knows waits for that. So a key that the provider removed
    is accepted until the answer that the first token after `FRESH_SECONDS` has fetched; while the
    provider is away the keys that it gave last stay, for however long.
    """

    def __init__(
        self,
        fetch: Fetch,
        algorithm: Algorithm | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch = fetch
        self._algorithm = algorithm
        self._clock = clock
        self._keys: Sequence[VerifyingKey] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fresh_until = self._begun = self._known_at = -math.inf

    async def find(self, kid: str | None) -> VerifyingKey | None:
        """The one key of this name; without a name, the only one there is.

        Raises Unavailable while it is not known, and the provider has not been asked since.
        """
        came = self._clock()
        stale = came >= self._fresh_until
        # What has no name may be signed by a key that has taken the other's place.
        unsure = stale if kid is None else self._named(kid) is None
        if stale or unsure:
            self.ask()
        if unsure and self._fetching is not None:
            # Others wait for it, too: a client that leaves does not end it for them.
            await asyncio.shield(self._fetching)
        key = self._named(kid)
        late = self._clock() >= self._fresh_until if kid is None else self._known_at < came
        if key is None and late:
            raise Unavailable("the keys of the identity provider cannot be had now, try again")
        return key

    def ask(self) -> None:
        """Ask the provider, unless it is being asked, or was a moment ago."""
        answered = self._fetching is None or self._fetching.done()
        if answered and self._clock() >= self._begun + COOLDOWN_SECONDS:
            self._begun = self._clock()
            self._fetching = asyncio.create_task(self._replace())

    async def close(self) -> None:
        """Give up what is being fetched."""
        if self._fetching is not None:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching

    def _named(self, kid: str | None) -> VerifyingKey | None:
        found = [each for each in self._keys or () if kid is None or each.kid == kid]
        return found[0] if len(found) == 1 else None

    async def _replace(self) -> None:
        """Take the keys of an answer for those that were; without a good one they stay."""
        try:
            entries = _KeySet.model_validate_json(await self._fetch()).keys
            keys = tuple(self._usable(entries))
        except Exception as error:  # noqa: BLE001 - whatever a provider answers, the keys stay
            why, kept = f"{type(error).__name__}: {error}"[:200], len(self._keys or ())
            log.warning("keys of the identity provider not fetched", why=why, kept=kept)
            self._fresh_until = self._clock() + (RETRY_SECONDS if self._keys else 0)
            return
        if {each.kid for each in keys} != {each.kid for each in self._keys or ()} or not keys:
            tell = log.info if keys else log.warning
            tell("keys of the identity provider", usable=len(keys), published=len(entries))
        self._keys, self._known_at = keys, self._begun
        self._fresh_until = self._clock() + FRESH_SECONDS

    def _usable(self, entries: Sequence[object]) -> Iterator[VerifyingKey]:
        for entry in entries:
            with suppress(ValueError):
                key = from_jwk(entry)
                if self._algorithm in (None, key.algorithm):
                    yield key


async def fetch(client: httpx2.AsyncClient, url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """The answer from a URL, if it comes whole, in time, from there, and is not too long."""
    # Nothing is unpacked: what is short on the wire stays short.
    plain = {"Accept": "application/json", "Accept-Encoding": "identity"}
    asking = client.stream("GET", url, headers=plain, follow_redirects=False)
    async with asyncio.timeout(seconds), asking as response:
        if response.status_code != httpx2.codes.OK:
            raise ValueError(f"the answer has the status {response.status_code}")
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > LONGEST_ANSWER:
                raise ValueError(f"the answer is longer than {LONGEST_ANSWER} bytes")
        return body


@asynccontextmanager
async def open_jwks(url: str, algorithm: Algorithm | None) -> AsyncIterator[PublishedKeys]:
    """The keys at a URL; those for one algorithm, if it is given."""
    async with httpx2.AsyncClient(timeout=FETCH_SECONDS) as client:
        keys = PublishedKeys(partial(fetch, client, url), algorithm)
        # Now, so that a wrong URL is told when the service starts, not when the first user comes.
        keys.ask()
        try:
            yield keys
        finally:
            await keys.close()
