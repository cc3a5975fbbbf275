"""Who reads too slowly: caught up from history, or closed; and nobody else notices."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..conftest import Connect
from ..service import PATIENCE, PROGRAM, Connected, Service, running
from .test_server import deaf

PLAIN = ("-m", "uvicorn", "app.main:app", "--port=0", "--ws-per-message-deflate=false")
OUTBOX = 1_048_576
MESSAGES, SIZE = 2500, 4000
"""More than the kernel takes for somebody who does not read."""


async def flood(ann: Connected, bob: Connected, channel: str) -> None:
    """Many messages, each of which bob hears before too many are on their way."""
    for start in range(0, MESSAGES, 100):
        for number in range(start, start + 100):
            text = f"{number} ".ljust(SIZE, "x")
            await ann.say(type="publish", channel=channel, data={"text": text})
        for number in range(start, start + 100):
            heard = await bob.hear_type("message")
            assert heard["data"]["text"].startswith(f"{number} ")


async def queued(service: Service) -> float:
    """How many bytes wait for peers."""
    async with service.rest() as http:
        found = re.search(r"^realtime_queue_bytes (\S+)", (await http.get("/metrics")).text, re.M)
        assert found is not None
        return float(found[1])


async def test_who_takes_nothing_is_closed_and_the_others_hear_everything(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, APP_OUTBOX_SECONDS="1", APP_HISTORY_LENGTH="5000") as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="chat:lobby")
        async with deaf(own, "chat:lobby"), own.rest() as http:
            await flood(ann, bob, "chat:lobby")
            async with asyncio.timeout(PATIENCE):
                while (await http.get("/health")).json()["connections"] != 2:
                    assert await queued(own) <= 1.5 * OUTBOX
                while not (closed := _closed(own)):
                    await bob.ask(type="ping")
            assert closed == [4001]
        assert "Traceback" not in own.log


@pytest.mark.parametrize("program", [PROGRAM, PLAIN])
async def test_who_pauses_is_caught_up_without_hole_or_repeat(
    tmp_path: Path, connect: Connect, program: Sequence[str]
) -> None:
    patient = {"APP_HEARTBEAT_TIMEOUT_SECONDS": "60", "APP_OUTBOX_SECONDS": "60"}
    with running(tmp_path, program=program, APP_HISTORY_LENGTH="5000", **patient) as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="chat:lobby")
        async with deaf(own, "chat:lobby") as slow:
            await flood(ann, bob, "chat:lobby")
            await ann.ask(type="signal", channel="chat:lobby", kind="typing")
            slow.connection.transport.resume_reading()
            heard = [await slow.hear()]
            while heard[-1].get("offset") != MESSAGES:
                heard.append(await slow.hear())
            await ann.ask(type="publish", channel="chat:lobby", data={"text": "live again"})
            live = await slow.hear()
        messages = [each for each in heard if each["type"] == "message"]
        assert [each["offset"] for each in messages] == list(range(1, MESSAGES + 1))
        (lag,) = [each for each in heard if each["type"] == "lag"]
        before = heard[: heard.index(lag)]
        assert lag == {"type": "lag", "channel": "chat:lobby", "behind": MESSAGES - len(before)}
        assert len(heard) == len(messages) + 1, "what is not kept is gone"
        assert live["data"] == {"text": "live again"}
        assert "Traceback" not in own.log


async def test_who_pauses_loses_what_is_not_kept_and_is_told(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path) as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="echo:x")
        async with deaf(own, "echo:x") as slow:
            for number in range(MESSAGES):
                await ann.ask(type="publish", channel="echo:x", data=f"{number} ".ljust(SIZE))
                await bob.hear_type("message")
            slow.connection.transport.resume_reading()
            heard = [await slow.hear()]
            while heard[-1]["type"] != "lag":
                heard.append(await slow.hear())
            await ann.ask(type="publish", channel="echo:x", data="live again")
            assert (await slow.hear())["data"] == "live again"
        assert heard[-1] == {"type": "lag", "channel": "echo:x", "behind": 0}
        numbers = [int(each["data"].split()[0]) for each in heard[:-1]]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) < MESSAGES


async def test_who_asks_for_more_than_it_reads_has_to_wait(
    tmp_path: Path, connect: Connect
) -> None:
    """Commands are not carried out while too much waits for the peer."""
    with running(tmp_path, APP_HISTORY_LENGTH="5000") as own:
        ann = await connect("ann", to=own)
        for _ in range(100):
            await ann.ask(type="publish", channel="chat:lobby", data={"text": "x" * SIZE})
        async with deaf(own, "chat:lobby") as slow:
            for number in range(100):
                asked = {"type": "history", "channel": "chat:lobby", "limit": 100, "id": number}
                slow.connection.transport.write(_masked(json.dumps(asked).encode()))
            await ann.heard()
            async with asyncio.timeout(PATIENCE):
                while await queued(own) <= OUTBOX:
                    await ann.ask(type="ping")
            assert await queued(own) < 1.5 * OUTBOX
            slow.connection.transport.resume_reading()
            for number in range(100):
                page = await slow.hear_type("history")
                assert (page["id"], len(page["messages"])) == (number, 100)


async def test_who_answers_the_pings_of_the_websocket_stays_and_who_does_not_is_closed(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, APP_HEARTBEAT_SECONDS="0.4", APP_HEARTBEAT_TIMEOUT_SECONDS="0.4") as own:
        ann = await connect("ann", to=own)
        async with deaf(own, "chat:lobby"), asyncio.timeout(PATIENCE):
            beats = 0
            while beats < 5 or not _closed(own):
                beats += json.loads(await ann.connection.recv()) == {"type": "ping"}
            assert _closed(own) == [4002]
        assert (await ann.ask(type="ping"))["type"] == "pong"


async def test_who_reads_slowly_but_reads_is_alive(tmp_path: Path, connect: Connect) -> None:
    """The ping comes after everything that waits, which must not be more than a little."""
    with running(
        tmp_path,
        APP_HEARTBEAT_SECONDS="1",
        APP_HEARTBEAT_TIMEOUT_SECONDS="1",
        APP_OUTBOX_BYTES="10000000",
    ) as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="echo:x")
        async with deaf(own, "echo:x") as slow:
            for number in range(400):
                await ann.say(type="publish", channel="echo:x", data=f"{number} ".ljust(SIZE))
            await ann.heard()
            for number in range(400):
                slow.connection.transport.resume_reading()
                assert (await slow.hear())["data"].split() == [str(number)]
                slow.connection.transport.pause_reading()
                await asyncio.sleep(0.005)
            assert not _closed(own)


def _closed(service: Service) -> list[int]:
    """The close codes of the sessions that ended."""
    entries = [json.loads(line) for line in service.log.splitlines()]
    return [each["code"] for each in entries if each["event"] == "session closed"]


def _masked(payload: bytes) -> bytes:
    """A text frame as a client sends it, masked with zeros."""
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
