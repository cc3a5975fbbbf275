"""Signs of life in both directions: a beat now and then, and something within a time after it."""

import random
from dataclasses import dataclass
from time import monotonic

from ..protocol import codec
from ..protocol.errors import CloseCode
from ..protocol.events import Ping
from ..protocol.frames import Beat
from ..settings import Limits
from .link import Link
from .wheel import Deadline, Wheel

BEAT = Beat(codec.encode(Ping()))


@dataclass(eq=False, slots=True)
class Heartbeat:
    """Tells one peer that the server is alive, and ends the connection of a peer that is not."""

    link: Link
    wheel: Wheel
    limits: Limits
    active: float = 0.0
    """When the last command had been carried out; infinity while one is, since nothing is read."""
    _asked: float = 0.0
    _beats: Deadline | None = None
    _listening: Deadline | None = None

    def begin(self) -> None:
        """Beat from a random part of the interval on, so that the beats of many spread."""
        interval = self.limits.heartbeat_seconds
        self._beats = self.wheel.schedule(interval * random.random(), self._beat, interval)

    def stop(self) -> None:
        """Neither speak nor listen any more."""
        for deadline in (self._beats, self._listening):
            if deadline is not None:
                deadline.cancel()

    def _beat(self) -> None:
        self.link.write(BEAT)
        if self._listening is None:
            self._asked = monotonic()
            timeout = self.limits.heartbeat_timeout_seconds
            self._listening = self.wheel.schedule(timeout, self._listen)

    def _listen(self) -> None:
        self._listening = None
        if max(self.link.heard, self.active) < self._asked:
            self.link.end(CloseCode.HEARTBEAT_TIMED_OUT)
