"""A ticket opens one connection, whichever nodes it comes to."""

import asyncio
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from ..doors.base import Shown
from ..nodes import nodes
from ..service import PATIENCE, Service, Wire, knock


async def outcome(service: Service, ticket: str) -> int:
    """The code of the close; 0 for who is welcome, who leaves then."""
    wire = Wire(await knock(service, Shown(query={"ticket": ticket}), open_timeout=PATIENCE))
    async with wire.connection:
        try:
            assert (await wire.hear())["type"] == "welcome"
            return 0
        except ConnectionClosed:
            return wire.connection.close_code or 0


async def test_of_100_who_come_with_one_at_once_one_is_let_in(tmp_path: Path) -> None:
    with nodes(tmp_path, APP_CONNECTIONS_PER_ADDRESS="1000") as pair:
        async with pair[0].rest({"Authorization": f"Bearer {await pair[0].token('ann')}"}) as http:
            for _ in range(5):
                ticket = (await http.post("/auth/ticket")).json()["ticket"]
                codes = await asyncio.gather(*(outcome(pair[n % 2], ticket) for n in range(100)))
                assert (codes.count(0), codes.count(4101)) == (1, 99)
