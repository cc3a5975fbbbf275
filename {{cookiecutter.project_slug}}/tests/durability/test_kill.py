"""A process that is killed right after an acknowledgement has lost nothing of what it said."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from client import Client
from client.auth import by_mode

from ..nodes import history
from ..service import Service, running
from ..truth import Name, Place, misnumbered, misstored
from .nodes import PROGRAMS

REBORN = (str(PROGRAMS / "reborn.py"),)
CHANNELS = ("chat:a", "chat:b", "chat:c")
KILLS, PUBLISHERS, ACKNOWLEDGEMENTS = 50, 12, 40
"""How often it is killed, and after how many acknowledgements at most."""


class Killer:
    """Kills the process as soon as so many acknowledgements more were heard."""

    def __init__(self, service: Service, seed: int) -> None:
        self.kills = 0
        self._service = service
        self._random = random.Random(seed)
        self._left = self._some()

    def heard(self) -> None:
        """An acknowledgement has been heard, this very moment."""
        self._left -= 1
        if not self._left and self.kills < KILLS:
            os.kill(int((self._service.folder / "pid").read_text()), signal.SIGKILL)
            self.kills += 1
            self._left = self._some()

    def _some(self) -> int:
        return self._random.randint(1, ACKNOWLEDGEMENTS)


async def publish(
    client: Client, channel: str, names: Iterator[int], killer: Killer
) -> dict[Name, Place]:
    """Publish until it was killed often enough, and once more; what was acknowledged, and where."""
    acknowledged = {}
    last = False
    while not last:
        last = killer.kills == KILLS
        key = str(next(names))
        receipt = await client.publish(channel, {"text": key}, key=key)
        killer.heard()
        assert receipt.position is not None
        place = receipt.position.epoch, receipt.position.offset
        acknowledged[client.welcome.user.id, key] = place
    return acknowledged


@pytest.mark.timeout(300)
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Publishers retry what was not acknowledged, with its key, as the client does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"APP_ROOMS": "a,b,c", "APP_PORT": str(port)}
    with running(tmp_path, program=REBORN, **settings) as service:
        killer, names, begun = Killer(service, seed=1), count(), monotonic()
        async with AsyncExitStack() as stack:
            clients = []
            for number in range(PUBLISHERS):
                auth = by_mode()(await service.token(f"user-{number % 4}") or "")
                client = Client(service.ws, auth=auth, proxy=None, random=lambda: 0.005)
                clients.append(await stack.enter_async_context(client))
            results = await asyncio.gather(
                *(
                    publish(client, CHANNELS[number % 3], names, killer)
                    for number, client in enumerate(clients)
                )
            )
        stored = {channel: await history(service, channel) for channel in CHANNELS}
        for number, channel in enumerate(CHANNELS):
            acknowledged: dict[Name, Place] = {}
            for each in results[number::3]:
                acknowledged |= each
            assert misnumbered(stored[channel]) == []
            assert misstored(stored[channel], acknowledged) == []
        told = sum(map(len, results))
        print(f"{killer.kills} kills, {told} acknowledged, {monotonic() - begun:.1f} s")  # noqa: T201
