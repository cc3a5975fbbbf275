"""Who is connected and silent holds nothing of the database."""

import asyncio
from pathlib import Path
from statistics import median
from time import monotonic

from ..databases import activity
from ..nodes import history
from ..service import API_KEY, PATIENCE, Connected, running

SOCKETS, POOL = 200, 5
SETTINGS = {"APP_DATABASE_POOL": str(POOL), "APP_CONNECTIONS_PER_ADDRESS": "1000"}
SECONDS = 0.2


async def test_idle_connections_leave_the_database_to_others(tmp_path: Path) -> None:
    with running(tmp_path, **SETTINGS) as own:
        wires = [await Connected.open(own, f"user-{number % 20}") for number in range(SOCKETS)]
        for wire in wires:
            await wire.ask(type="subscribe", channel="chat:lobby", presence=True)
        await wires[0].ask(type="publish", channel="chat:lobby", data={"text": "hello"})
        async with asyncio.timeout(PATIENCE):
            # The service itself looks now and then whether the database answers.
            while set(connections := await activity(tmp_path)) - {"idle"}:
                await asyncio.sleep(0.05)
        assert len(connections) <= POOL
        async with own.rest({"X-API-Key": API_KEY}) as http:
            for path in ("/api/channels/chat:lobby/messages", "/api/rooms"):
                took = []
                for _ in range(15):
                    begun = monotonic()
                    assert (await http.get(path)).status_code == 200
                    took.append(monotonic() - begun)
                assert median(took) < SECONDS, took
        for wire in wires:
            await wire.connection.close()
        assert len(await history(own, "chat:lobby")) == 1
