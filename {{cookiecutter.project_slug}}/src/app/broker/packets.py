"""Packets as nodes send them to each other, and those that have arrived and wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import structlog

from ..protocol.channels import Position
from .base import Gap, Kind, Packet

log = structlog.stdlib.get_logger(__name__)

MOST_BYTES, OVERHEAD = 16_777_216, 300
"""How much may wait, and what a packet takes besides its body."""

_KINDS = {kind.value: kind for kind in Kind}


def encode(packet: Packet) -> bytes:
    """A line that says what it is, then the body; history writes the same of what it keeps."""
    position = packet.position
    where = f" {position.epoch} {position.offset}" if position else ""
    return f"{packet.kind}{where}\n".encode() + packet.body


def decode(channel: str, said: bytes) -> Packet:
    """What `encode` made; raises ValueError or KeyError of anything else."""
    head, _, body = said.partition(b"\n")
    kind, *where = head.decode().split(" ")
    if not where:
        return Packet(_KINDS[kind], channel, body)
    epoch, offset = where
    return Packet(_KINDS[kind], channel, body, Position(epoch, int(offset)))


class Arrivals:
    """What has arrived until somebody takes it; where that is too much, it is dropped for a Gap.

    A node that does not come to it could hold no end of it, and history has what is kept.
    """

    def __init__(self) -> None:
        self._waiting: list[Packet | Gap] = []
        self._size = 0
        self._some = asyncio.Event()

    def add(self, arrived: Packet | Gap) -> None:
        """Let somebody take it, after all that is there."""
        if isinstance(arrived, Packet):
            self._size += len(arrived.body) + OVERHEAD
            if self._size > MOST_BYTES:
                log.warning("nobody takes what arrives", dropped=len(self._waiting))
                self._waiting, self._size = [Gap()], 0
        self._waiting.append(arrived)
        self._some.set()

    async def taken(self) -> AsyncIterator[Sequence[Packet] | Gap]:
        """All that is there, whenever there is something.

        It begins with a Gap: who asked before may not have come to all that was handed over.
        """
        yield Gap()
        while True:
            await self._some.wait()
            self._some.clear()
            arrived, self._waiting, self._size = self._waiting, [], 0
            packets: list[Packet] = []
            for each in arrived:
                if isinstance(each, Packet):
                    packets.append(each)
                    continue
                if packets:
                    yield packets
                    packets = []
                yield each
            if packets:
                yield packets
