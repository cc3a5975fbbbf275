"""A turn of the event loop: it has one number, and it ends once."""

import asyncio

from app.server.turns import Turns, turns_of


class Recorder:
    """Counts how often it was told to write."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        """Count."""
        self.flushed += 1


async def turn() -> None:
    """Everything scheduled so far has run."""
    await asyncio.sleep(0)


async def test_a_turn_has_one_number_and_the_next_has_another() -> None:
    turns = Turns(asyncio.get_running_loop())
    first = turns.begin()
    assert turns.begin() == turns.number == first
    await turn()
    assert turns.number != first, "what began before is over"
    assert turns.begin() not in (first, first - 1)


async def test_who_waits_is_flushed_once_at_the_end_of_the_turn() -> None:
    turns, writer, another = Turns(asyncio.get_running_loop()), Recorder(), Recorder()
    turns.begin()
    turns.waiting += [writer, another]
    assert writer.flushed == 0
    await turn()
    assert (writer.flushed, another.flushed, turns.waiting) == (1, 1, [])
    turns.begin()
    await turn()
    assert writer.flushed == 1


async def test_who_begins_to_wait_while_a_turn_ends_is_flushed_at_the_end_of_the_next() -> None:
    turns = Turns(asyncio.get_running_loop())
    late = Recorder()

    class Answering(Recorder):
        def flush(self) -> None:
            turns.begin()
            turns.waiting.append(late)

    turns.begin()
    turns.waiting.append(Answering())
    await turn()
    assert late.flushed == 0
    await turn()
    assert late.flushed == 1


async def test_a_turn_without_anything_written_costs_nothing() -> None:
    turns = Turns(asyncio.get_running_loop())
    before = turns.number
    await turn()
    assert turns.number == before


async def test_everybody_on_a_loop_shares_its_turns() -> None:
    loop = asyncio.get_running_loop()
    assert turns_of(loop) is turns_of(loop)
