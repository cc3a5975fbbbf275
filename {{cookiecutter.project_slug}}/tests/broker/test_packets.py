"""How packets are written between nodes."""

import pytest

from app.broker.base import Kind, Packet
from app.broker.packets import decode, encode
from app.protocol.channels import Position


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("position", [None, Position("", 0), Position("e1", 2**53 - 1)])
@pytest.mark.parametrize("body", [b"", b"{}", b"\n\r\n \x00\xff"])
def test_a_packet_is_understood_as_it_was_meant(
    kind: Kind, position: Position | None, body: bytes
) -> None:
    packet = Packet(kind, "chat:lobby", body, position)
    assert decode("chat:lobby", encode(packet)) == packet


@pytest.mark.parametrize(
    "said", [b"", b"message", b"newer\n{}", b"message e\n{}", b"message e x\n{}", b"\xff\n{}"]
)
def test_anything_else_is_refused(said: bytes) -> None:
    if said == b"message":
        # As by a node that has nothing to add.
        assert decode("chat:lobby", said).body == b""
    else:
        with pytest.raises((ValueError, KeyError)):
            decode("chat:lobby", said)
