"""Publishes to one channel, again and again, for some seconds; prints where each message stands."""

import asyncio
import sys
from time import monotonic

from app.adapters import open_history

from ...history.drafts import draft, stored


async def write(seconds: float) -> None:
    """Publish as fast as one can, from when there is a line to read."""
    async with open_history() as history:
        await asyncio.to_thread(sys.stdin.readline)
        end = monotonic() + seconds
        while monotonic() < end:
            (outcome,) = await history.append([draft("chat:lobby", "hello")])
            sys.stdout.write(f"{stored(outcome).position.offset}\n")


if __name__ == "__main__":
    asyncio.run(write(float(sys.argv[1])))
