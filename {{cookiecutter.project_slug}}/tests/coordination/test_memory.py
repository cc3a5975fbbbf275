"""What is memory coordination's own."""

from app.budget import Want
from app.coordination.memory import MemoryCoordination, open_coordination

from ..nearby import Clock


async def test_what_is_over_does_not_pile_up() -> None:
    clock = Clock()
    coordination = MemoryCoordination(clock)
    for number in range(5_000):
        await coordination.put(f"key-{number}", "x", ttl=10)
        await coordination.spend([Want(f"user-{number}", rate=10, burst=20)])
        await coordination.hold(f"feed-{number}", ttl=10)
        clock.advance(1)
    # Of each kind at most ten seconds' worth are in force, and twice that may be on their way out.
    assert len(coordination.kept) < 100


async def test_those_who_open_their_own_share_nothing() -> None:
    async with open_coordination() as one, open_coordination() as other:
        await one.put("key", "x", ttl=60)
        assert list(await other.get(["key"])) == [None]
