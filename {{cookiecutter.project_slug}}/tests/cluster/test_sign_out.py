"""Who signs out on one node is out on all."""

from collections.abc import Iterator
from time import monotonic

import pytest

from ..identity.entry import enter
from ..nodes import nodes
from ..service import Service
from ..signing import signed


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two nodes that need not look for what they are told."""
    with nodes(tmp_path_factory.mktemp("pair"), APP_SWEEP_SECONDS="3600") as services:
        yield services


async def test_what_a_token_opened_ends_on_every_node_at_once(pair: list[Service]) -> None:
    one, two = pair
    token = signed(one.secret, "ann")
    here, there = await enter(one, token), await enter(two, token)
    async with one.rest({"Authorization": f"Bearer {token}"}) as http:
        begun = monotonic()
        assert (await http.delete("/auth/session")).status_code == 204
        assert [(await wire.closed())[0] for wire in (there, here)] == [4504, 4504]
        assert monotonic() - begun < 1
    async with two.rest({"Authorization": f"Bearer {token}"}) as http:
        assert (await http.get("/api/rooms")).status_code == 401
