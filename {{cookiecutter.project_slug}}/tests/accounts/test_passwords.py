"""Passwords are hashed so that it takes whoever guesses long, and nobody else is kept waiting."""

import asyncio
import threading
from statistics import median
from time import perf_counter

import pytest

from app.accounts import passwords
from app.accounts.passwords import Passwords
from app.protocol.errors import CommandError, ErrorCode

from ..service import PATIENCE
from .people import PASSWORD


async def test_a_password_is_verified_by_what_is_kept_of_it() -> None:
    kept = await Passwords().hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in kept
    assert await Passwords().verify(PASSWORD, kept)
    assert not await Passwords().verify(f"{PASSWORD} ", kept)


async def test_no_two_hashes_of_one_password_are_the_same() -> None:
    ours = Passwords()
    assert await ours.hash(PASSWORD) != await ours.hash(PASSWORD)


async def test_a_password_is_one_however_a_keyboard_writes_it() -> None:
    """And what is no text, as a program may give it, breaks nothing."""
    ours = Passwords()
    assert await ours.verify("caf\u00e9 at noon", await ours.hash("cafe\u0301 at noon"))
    assert not await ours.verify("\ud800" * 8, None)


async def test_nobody_has_a_password_and_to_find_that_out_takes_as_long() -> None:
    ours = Passwords()
    kept = await ours.hash(PASSWORD)
    known, unknown = list[float](), list[float]()
    for _ in range(5):
        for hashed, times in ((kept, known), (None, unknown)):
            begun = perf_counter()
            assert not await ours.verify("A", hashed)
            times.append(perf_counter() - begun)
    assert 0.5 < median(unknown) / median(known) < 2


async def test_few_are_hashed_at_once_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "PATIENCE", 0.001)
    ours = Passwords()
    outcomes = await asyncio.gather(
        *(ours.hash(PASSWORD) for _ in range(5)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, CommandError)]
    assert [each.code for each in refused] == [ErrorCode.OVERLOADED] * 3
    assert await ours.verify(PASSWORD, await ours.hash(PASSWORD)), "nobody holds a turn"


async def test_who_goes_away_leaves_the_turn_to_who_is_still_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread goes on whoever waits for it; so else there would be more at once."""
    ours, going, most = Passwords(), list[int](), list[int]()

    def hash_slowly(password: bytes) -> str:
        going.append(1)
        most.append(len(going))
        let_go.wait(PATIENCE)
        going.pop()
        return ""

    let_go = threading.Event()
    monkeypatch.setattr(ours._hasher, "hash", hash_slowly)
    waiting = [asyncio.create_task(ours.hash(PASSWORD)) for _ in range(passwords.HASHED_AT_ONCE)]
    while len(going) < len(waiting):
        await asyncio.sleep(0.001)
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    later = asyncio.create_task(ours.hash(PASSWORD))
    await asyncio.sleep(0.05)
    let_go.set()
    await later
    assert max(most) == passwords.HASHED_AT_ONCE


async def test_others_are_served_meanwhile() -> None:
    hashing = asyncio.create_task(Passwords().hash(PASSWORD))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 5
