"""Whose signals are taken, and that they are given back; the rest needs real processes."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from uvicorn import Config, Server

from app.server.signals import departing

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def leave() -> None:
    """Nothing to do."""


def scope() -> AbstractContextManager[None]:
    """What the lifespan enters."""
    return departing(leave, asyncio.ensure_future, 3.5)


def handlers() -> list[Any]:
    """What signals are handled by."""
    return [signal.getsignal(each) for each in SIGNALS]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that has installed its handlers."""
    server = Server(Config("app.main:app", log_config=None))
    with server.capture_signals():
        yield server


async def test_signals_of_uvicorn_are_its_own_again_afterwards(server: Server) -> None:
    with scope():
        assert server.handle_exit not in handlers()
    assert handlers() == [server.handle_exit] * 2


async def test_uvicorn_does_not_wait_for_ever(server: Server) -> None:
    with scope():
        assert server.config.timeout_graceful_shutdown == 3.5


async def test_uvicorn_waits_as_long_as_it_was_told_to(server: Server) -> None:
    server.config.timeout_graceful_shutdown = 60
    with scope():
        assert server.config.timeout_graceful_shutdown == 60


async def test_a_handler_that_somebody_installed_later_stays(server: Server) -> None:
    with scope():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert handlers() == [signal.SIG_IGN, server.handle_exit]


async def test_signals_of_others_are_not_touched() -> None:
    before = handlers()
    with scope():
        assert handlers() == before
    assert handlers() == before


async def test_outside_the_main_thread_nothing_is_touched(server: Server) -> None:
    def elsewhere() -> None:
        with scope():
            assert handlers() == [server.handle_exit] * 2

    await asyncio.to_thread(elsewhere)
