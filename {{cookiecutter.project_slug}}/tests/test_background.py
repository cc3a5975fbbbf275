"""Who waits for tasks, and what becomes of those that fail."""

import asyncio

import pytest
from structlog.testing import capture_logs

from app.background import RESTART_SECONDS, Background, open_background
from app.protocol.errors import Unavailable

from .realtime.virtual_time import run


def test_the_end_of_the_scope_waits_for_what_it_cancels() -> None:
    async def story() -> list[str]:
        happened: list[str] = []

        async def work(background: Background) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                background.spawn(late())
                await asyncio.sleep(5)
                happened.append("tidied up")

        async def late() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                happened.append("the late one too")

        async with open_background() as background:
            background.spawn(work(background))
            await asyncio.sleep(0)
        happened.append("after the scope")
        assert len(asyncio.all_tasks()) == 1
        return happened

    happened = run(story())
    assert set(happened[:2]) == {"tidied up", "the late one too"}
    assert happened[2:] == ["after the scope"]


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "returns"])
def test_a_loop_that_ends_is_started_again_and_said_to_be_failing_meanwhile(fails: bool) -> None:
    async def story() -> None:
        started: list[float] = []

        async def loop() -> None:
            started.append(asyncio.get_running_loop().time())
            if len(started) > 1:
                await asyncio.Event().wait()
            await asyncio.sleep(10)
            if fails:
                raise RuntimeError("planted")

        async with open_background() as background:
            background.keep("loop", loop)
            await asyncio.sleep(9)
            assert background.failing == set()
            await asyncio.sleep(1 + RESTART_SECONDS / 2)
            assert background.failing == {"loop"}
            await asyncio.sleep(RESTART_SECONDS)
            assert background.failing == set()
        assert started == pytest.approx([0, 10 + RESTART_SECONDS])

    with capture_logs() as logs:
        run(story())
    assert [each["log_level"] for each in logs] == ["error"] * fails


def test_who_waits_for_a_task_sees_its_failure_and_what_is_unforeseen_is_logged() -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def story() -> None:
        async with open_background() as background:
            with pytest.raises(Unavailable):
                await background.spawn(fail(Unavailable()))
            with pytest.raises(RuntimeError, match="planted"):
                await background.spawn(fail(RuntimeError("planted")))

    with capture_logs() as logs:
        run(story())
    assert [each["event"] for each in logs] == ["background work failed"]
