"""What is particular to history in a file."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from app.history.sqlite import KNOWN, LOCK, open_history


async def test_a_batch_finds_its_channels_and_keys_by_an_index() -> None:
    """Otherwise each would cost more the more is stored."""
    asked = {LOCK: ["chat:lobby"], KNOWN: [["chat:lobby", "ann", str(n)] for n in range(50)]}

    def plans(connection: Connection) -> Sequence[str]:
        return [
            row.detail
            for statement, value in asked.items()
            for row in connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", (json.dumps(value),)
            )
        ]

    async with open_history() as history:
        found = " / ".join(await history.database.run(plans))
    assert "SEARCH channels USING INDEX" in found
    assert "SEARCH p USING INDEX uq_publications_channel_sender_key" in found
    assert "SCAN channels" not in found
    assert "SCAN p" not in found
