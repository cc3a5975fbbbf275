"""Hashes passwords and verifies them, by argon2: off the event loop, and few at a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar
from unicodedata import normalize

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from ..protocol.errors import CommandError, ErrorCode

T = TypeVar("T")

SHORTEST, LONGEST = 8, 128
"""Characters of a password."""

# RFC 9106, 4: the second recommended option, for where memory counts.
PASSES, KIBIBYTES, LANES = 3, 65_536, 4
NOBODYS = f"$argon2id$v=19$m={KIBIBYTES},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""Verifying this takes as long as verifying a password that somebody has."""

HASHED_AT_ONCE = 2
PATIENCE = 5.0
"""Seconds that one waits for others."""


class Passwords:
    """Takes 64 MiB and tens of ms for each, whether or not there is such a user."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(PASSES, KIBIBYTES, LANES),))
        self._turns = asyncio.Semaphore(HASHED_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._in_turn(lambda: self._hasher.hash(_letters(password)))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether that was kept of this password; None is kept of nobody's."""
        known = kept or NOBODYS
        right = await self._in_turn(lambda: self._hasher.verify(_letters(password), known))
        return right and kept is not None

    async def _in_turn(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            crowded = "too many are signing in at this moment, try again"
            raise CommandError(ErrorCode.OVERLOADED, crowded, retry_after=PATIENCE) from None
        working = asyncio.create_task(asyncio.to_thread(work))
        working.add_done_callback(lambda _: self._turns.release())
        # Who goes away does not end the thread: it keeps its turn until it is done.
        return await asyncio.shield(working)


def _letters(password: str) -> bytes:
    """A password in the one way to write it, since keyboards differ; also what is no text."""
    return normalize("NFC", password).encode(errors="surrogatepass")
