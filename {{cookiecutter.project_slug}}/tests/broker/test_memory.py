"""What is the memory broker's own."""

import pytest

from app.broker.base import Kind, Packet
from app.broker.memory import MemoryBroker, MemoryBrokerSettings, open_broker
from app.settings import complaints


async def test_all_that_has_arrived_comes_at_once() -> None:
    packets = [Packet(Kind.SIGNAL, f"echo:{number % 3}", b"%d" % number) for number in range(100)]
    async with open_broker() as broker:
        await broker.follow({packet.channel for packet in packets})
        deliveries = broker.deliveries()
        for batch in (packets, packets[:1]):
            await broker.publish(batch)
            assert await anext(deliveries) == batch


async def test_brokers_that_are_no_peers_do_not_hear_each_other() -> None:
    one, other = MemoryBroker(), MemoryBroker()
    peer = MemoryBroker(one.nodes)
    for broker in (one, other, peer):
        await broker.follow(["echo:x"])
    packet = Packet(Kind.SIGNAL, "echo:x", b"{}")
    await other.publish([])
    await one.publish([packet])
    assert await anext(peer.deliveries()) == [packet]
    own = Packet(Kind.SIGNAL, "echo:x", b"[]")
    await other.publish([own])
    assert await anext(other.deliveries()) == [own]


@pytest.mark.parametrize("environment", ["development", "production"])
def test_several_workers_are_refused_everywhere(
    monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("APP_ENVIRONMENT", environment)
    monkeypatch.setenv("APP_WORKERS", "4")
    (complaint,) = MemoryBrokerSettings().complaints()
    assert "APP_WORKERS" in complaint
    assert "another broker" in complaint
    assert complaint in complaints()


def test_one_worker_is_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_WORKERS", "1")
    assert list(MemoryBrokerSettings().complaints()) == []
