"""That a stored message reaches other nodes as the same packet, whoever hands it to them."""

from asyncio import timeout
from pathlib import Path

import pytest

from app.adapters import open_broker, open_history
from app.broker.base import Gap, Kind, Packet

from ..brokers import own_broker
from ..databases import own_database
from ..history.drafts import draft, stored


async def test_a_stored_message_is_delivered_as_its_receipt_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (own_database(tmp_path) | own_broker(tmp_path)).items():
        monkeypatch.setenv(name, value)
    texts = ["", "ünïcödé ☃", "two words\\n", "%d %s {}", "x" * 60_000]
    drafts = [draft("chat:lobby", text) for text in texts]
    async with timeout(10), open_history() as history, open_broker() as broker:
        await broker.follow(["chat:lobby"])
        receipts = [stored(outcome) for outcome in await history.append(drafts)]
        packets = [
            Packet(Kind.MESSAGE, "chat:lobby", receipt.body, receipt.position)
            for receipt in receipts
        ]
        if not history.carries:
            await broker.publish(packets)
        arrived: list[Packet] = []
        deliveries = broker.deliveries()
        while len(arrived) < len(packets):
            delivery = await anext(deliveries)
            arrived += [] if isinstance(delivery, Gap) else delivery
        assert arrived == packets
        assert [packet.body for packet in packets] == [draft.body for draft in drafts]
