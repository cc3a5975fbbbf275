"""Holds every frame that a client gets against what the protocol promises."""

from collections.abc import Callable
from typing import Any

from app.protocol.channels import START, Position
from app.protocol.commands import Subscribe

from .ledger import Ledger

Frame = dict[str, Any]


class Witness:
    """Knows where one client stands in each channel, and complains where the server does not."""

    def __init__(self, ledger: Ledger, complain: Callable[..., None]) -> None:
        self.positions: dict[str, Position] = {}
        """Up to where the client has seen everything, or was told that it has not."""
        self._ledger = ledger
        self._complain = complain
        self._asked: dict[str, Subscribe] = {}
        self._ahead: set[str] = set()
        self._live: set[str] = set()

    def asks(self, wanted: Subscribe) -> None:
        """A subscription begins; a `since` is where the client stands from now on."""
        self._asked[wanted.channel] = wanted
        self._ahead.discard(wanted.channel)
        if wanted.since is not None:
            self.positions[wanted.channel] = wanted.since
            if wanted.since.offset > self._ledger.position(wanted.channel).offset:
                self._ahead.add(wanted.channel)

    def was_answered(self, channel: str) -> None:
        """The subscription is in force."""
        if channel in self._asked:
            self._complain(channel, "no answer")

    def was_refused(self, channel: str) -> None:
        """The subscription is not in force."""
        if self._asked.pop(channel, None) is None:
            self._complain(channel, "answered and refused")

    def leaves(self, *channels: str) -> None:
        """From here on nothing of the channels may come."""
        self._live.difference_update(channels)

    def loses_everything(self) -> None:
        """The connection is gone."""
        self._live.clear()

    def sees(self, frame: Frame) -> None:
        """A frame came."""
        channel = frame["channel"]
        if frame["type"] == "subscribed":
            self._see_subscribed(channel, frame)
        elif channel not in self._live:
            self._complain(channel, "came without a subscription:", frame)
        elif frame["type"] == "message":
            self._see_message(channel, frame)

    def _see_subscribed(self, channel: str, frame: Frame) -> None:
        since, last = self.positions.get(channel), 0
        if "id" in frame:
            asked = self._asked.pop(channel, None)
            if asked is None:
                return self._complain(channel, "answers what was not asked:", frame)
            since, last = asked.since, asked.last
        elif channel not in self._live or frame["recovered"]:
            return self._complain(channel, "restates wrongly:", frame)
        self._live.add(channel)
        stands = Position(frame["epoch"], frame["offset"])
        if ("recovered" in frame) != (since is not None):
            self._complain(channel, "wrong about recovery:", frame)
        elif since is not None and frame["recovered"]:
            if since not in (START, Position(stands.epoch, since.offset)):
                self._complain(channel, "recovered from another epoch:", since, frame)
            begin = since.offset
        else:
            if since is not None:
                self._judge(channel, since, frame)
            begin = stands.offset - len(frame["messages"])
            if len(frame["messages"]) > last:
                self._complain(channel, "more than asked for:", frame)
        self.positions[channel] = Position(stands.epoch, begin)
        for message in frame["messages"]:
            self._see_message(channel, message)
        if self.positions[channel] != stands:
            self._complain(channel, "ends at", self.positions[channel], "but says", stands)

    def _judge(self, channel: str, since: Position, frame: Frame) -> None:
        """Continuity may be given up for a reason only, and the reason must be true."""
        true = {
            "epoch_changed": since.epoch != frame["epoch"]
            and (since != START or self._ledger.has_rotated(channel)),
            "ahead": channel in self._ahead,
            "expired": self._ledger.pruned(channel) > since.offset,
            "too_far": frame["offset"] >= since.offset,
        }
        if not true.get(frame["reason"], False):
            self._complain(channel, "gives up without reason at", since, frame)

    def _see_message(self, channel: str, frame: Frame) -> None:
        stands, next = self.positions[channel], Position(frame["epoch"], frame["offset"])
        if next.offset != stands.offset + 1 or stands.epoch not in (next.epoch, START.epoch):
            self._complain(channel, "hole or repeat: at", stands, "comes", next)
        if self._ledger.message(channel, next) != frame["message_id"]:
            self._complain(channel, "not what is stored at", next)
        self.positions[channel] = next
