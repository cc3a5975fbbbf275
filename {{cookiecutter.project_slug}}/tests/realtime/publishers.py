"""Those who publish: some with a key, again and again until they hear that it is stored."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from app.history.base import Receipt
from app.protocol.errors import CommandError, Unavailable
from app.realtime.hub import Hub

from ..history.drafts import draft
from .client import COMMAND_SECONDS, NAMESPACE
from .fates import PAUSES
from .ledger import Ledger, Name

ATTEMPTS = 6
KEY_WINDOW = 100.0
"""Seconds in which a key stands for the same message."""


class Publishers:
    """Publishes beside everything else, and remembers what was acknowledged."""

    def __init__(self, hubs: Sequence[Hub], ledger: Ledger, trouble: list[str]) -> None:
        self._hubs = hubs
        self._ledger = ledger
        self._trouble = trouble
        self._tasks: list[asyncio.Task[None]] = []
        self._acknowledged: set[Name] = set()

    def begin(self, node: int, channel: str, key: str | None, *, after: float) -> None:
        """Publish in so many seconds, first at this node."""
        self._tasks.append(asyncio.create_task(self._publish(node, channel, key, after)))

    async def finished(self) -> None:
        """Return once everybody has heard, or given up."""
        await asyncio.gather(*self._tasks)

    async def _publish(self, node: int, channel: str, key: str | None, after: float) -> None:
        await asyncio.sleep(after)
        if key is not None:
            # A history may forget a key after five minutes, so nobody uses one that long.
            key = f"{key}-{asyncio.get_running_loop().time() // KEY_WINDOW:.0f}"
        for attempt in range(1 if key is None else ATTEMPTS):
            said = draft(channel, f"text of {key}", key=key)
            hub = self._hubs[(node + attempt) % len(self._hubs)]
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    receipt = await hub.publish(NAMESPACE, said)
                    assert receipt is not None
                    if isinstance(receipt, CommandError):
                        raise receipt
            except (Unavailable, TimeoutError):
                await asyncio.sleep(PAUSES[attempt])
            except CommandError as error:
                self._trouble.append(f"refused: {said} {error!r}")
            else:
                name = None if key is None else (channel, said.sender, key)
                return self._hear(receipt, channel, said.message_id, name)

    def _hear(self, receipt: Receipt, channel: str, message: str, name: Name | None) -> None:
        stored = self._ledger.message(channel, receipt.position)
        if name is None:
            true = stored == message
        else:
            self._acknowledged.add(name)
            true = stored is not None and self._ledger.names.get(stored) == name
        if not true:
            self._trouble.append(f"acknowledged, but something else is stored: {name} {receipt}")

    def look_at_keys(self, channel: str) -> None:
        """Each key that was acknowledged stands for one message, unless the store lost it."""
        names = self._ledger.names
        stored = Counter(names[id] for id in self._ledger.messages(channel) if id in names)
        lost = {names[id] for id in self._ledger.lost if id in names}
        for name in sorted(self._acknowledged - lost):
            if name[0] == channel and stored[name] != 1:
                self._trouble.append(f"acknowledged, and stored {stored[name]} times: {name}")
        self._trouble += [f"stored twice: {name}" for name, times in stored.items() if times > 1]
