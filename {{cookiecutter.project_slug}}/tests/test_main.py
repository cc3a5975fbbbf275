"""The application under a server that somebody else started, and what it needs to start at all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Connect
from .service import Service, environment, running

BY_HAND = ("-m", "uvicorn", "app.main:app", "--port", "0", "--log-level", "debug")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`uvicorn app.main:app`, with settings in a file, some of them overruled."""
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / ".env").write_text(
        "APP_ROOMS=from-the-file\nAPP_HISTORY_LENGTH=5\nAPP_LOG_FORMAT=console\n"
    )
    with running(folder, program=BY_HAND, APP_HISTORY_LENGTH="2", APP_LOG_FORMAT=None) as service:
        yield service


async def test_it_serves_all_the_same(by_hand: Service, connect: Connect) -> None:
    ann, bob = await connect("ann", to=by_hand), await connect("bob", to=by_hand)
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel="chat:by-hand", presence=True)
    await ann.ask(type="publish", channel="chat:by-hand", data={"text": "hello"})
    assert (await bob.hear_type("message"))["data"] == {"text": "hello"}
    async with by_hand.rest() as http:
        assert (await http.get("/readyz")).status_code == 200


async def test_its_own_logs_are_as_they_were_asked_for(by_hand: Service, connect: Connect) -> None:
    wire = await connect(to=by_hand)
    (line,) = [each for each in by_hand.log.splitlines() if wire.welcome["session"] in each]
    assert "session opened" in line and not line.startswith("{")


async def test_it_logs_no_handshake_and_no_message_though_it_was_told_to_log_all(
    by_hand: Service, connect: Connect
) -> None:
    wire = await connect("ann", "/chat/by-hand?token=canary-in-a-query", to=by_hand)
    await wire.ask(type="publish", channel="chat:by-hand", data={"text": "canary-in-a-text"})
    async with by_hand.rest() as http:
        await http.get("/api/rooms?token=canary-in-a-query")
    assert "canary" not in by_hand.log
    assert '"WebSocket ' not in by_hand.log


async def test_settings_come_from_a_file_unless_the_environment_has_them(
    by_hand: Service, connect: Connect
) -> None:
    wire = await connect(to=by_hand)
    subscribed = await wire.ask(type="subscribe", channel="chat:from-the-file")
    assert subscribed["type"] == "subscribed"
    for _ in range(4):
        await wire.ask(type="publish", channel="chat:from-the-file", data={"text": "x"})
    page = await wire.ask(type="history", channel="chat:from-the-file")
    assert len(page["messages"]) == 2


def test_what_is_wrong_stops_it_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *BY_HAND],
        cwd=tmp_path,
        env=environment({"APP_ENVIRONMENT": "production", "APP_HISTORY_LENGTH": "x"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "APP_JWT_SECRET is missing" in done.stderr
    assert "APP_HISTORY_LENGTH" in done.stderr
    assert "Traceback" not in done.stderr
    assert "running on" not in done.stderr
