"""Gives publications their positions and stores them, all of a batch in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, text

from ..protocol.channels import Position
from ..protocol.errors import CommandError, ErrorCode
from .base import Draft, Outcome, Receipt

Key = tuple[str, str, str]
"""A channel, a sender, and the sender's key there."""

_BEGIN = text(
    "INSERT INTO channels (name, epoch, top, floor, emptied) VALUES (:name, :epoch, 0, 0, 0)"
    " ON CONFLICT (name) DO NOTHING"
)


class Row(NamedTuple):
    """A publication as it is stored; the time is that of its batch."""

    channel: str
    offset: int
    message_id: str
    sender: str
    body: str
    key: str | None
    digest: bytes | None


class Statements(Protocol):
    """What a batch asks of a database: one statement each, however large the batch is.

    They are text, since to compose one costs as much as to execute it.
    """

    def lock(self, connection: Connection, names: Sequence[str]) -> Iterable[tuple[str, str, int]]:
        """Lock those of the channels that are there, in this order; name, epoch and top of each."""
        ...

    def known(
        self, connection: Connection, keys: Sequence[Key]
    ) -> Iterable[tuple[str, str, str, int, bytes | None, str]]:
        """Those of the keys that are there, each with offset, digest and body."""
        ...

    def store(
        self, connection: Connection, rows: Sequence[Row], tops: Mapping[str, int], now: datetime
    ) -> None:
        """Keep publications, and where their channels stand now."""
        ...


class UnknownChannel(Exception):
    """Something is to be stored in a channel that has no row yet, so nothing was."""


@dataclass(eq=False)
class Batch:
    """Drafts on their way into a database, in any number of channels."""

    drafts: Sequence[Draft]
    now: datetime
    statements: Statements
    _places: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Epoch and top of each channel."""
    _keys: dict[Key, tuple[int, bytes | None, bytes]] = field(default_factory=dict)
    """What is stored under a key: where, the digest and the body."""
    _rows: list[Row] = field(default_factory=list)

    def append(self, connection: Connection) -> Sequence[Outcome]:
        """Number and store what is new; raises UnknownChannel."""
        names = sorted({draft.channel for draft in self.drafts})
        # In one order, so that no two wait for each other; keys can be looked up only behind it.
        locked = self.statements.lock(connection, names)
        self._places = {name: (epoch, top) for name, epoch, top in locked}
        if len(self._places) < len(names):
            raise UnknownChannel
        self._keys, self._rows = self._known(connection), []
        outcomes = [self._place(draft) for draft in self.drafts]
        if self._rows:
            tops = {row.channel: row.offset for row in self._rows}
            self.statements.store(connection, self._rows, tops, self.now)
        return outcomes

    def begin_and_append(self, connection: Connection) -> Sequence[Outcome]:
        """The same, where channels may have to begin; in the order in which they are locked."""
        names = sorted({draft.channel for draft in self.drafts})
        connection.execute(_BEGIN, [{"name": name, "epoch": new_epoch()} for name in names])
        return self.append(connection)

    def _known(self, connection: Connection) -> dict[Key, tuple[int, bytes | None, bytes]]:
        keys = [(d.channel, d.sender, d.key) for d in self.drafts if d.key is not None]
        if not keys:
            return {}
        found = self.statements.known(connection, keys)
        return {
            (channel, sender, key): (offset, digest, body.encode())
            for channel, sender, key, offset, digest, body in found
        }

    def _place(self, draft: Draft) -> Outcome:
        epoch, top = self._places[draft.channel]
        key = None if draft.key is None else (draft.channel, draft.sender, draft.key)
        if key is not None and key in self._keys:
            offset, digest, body = self._keys[key]
            if digest != draft.digest:
                return CommandError(
                    ErrorCode.CONFLICT, "this key stands for other data", field="key"
                )
            return Receipt(Position(epoch, offset), body, duplicate=True)
        offset = top + 1
        self._places[draft.channel] = epoch, offset
        if key is not None:
            self._keys[key] = offset, draft.digest, draft.body
        self._rows.append(
            Row(
                draft.channel,
                offset,
                draft.message_id,
                draft.sender,
                draft.body.decode(),
                draft.key,
                draft.digest,
            )
        )
        return Receipt(Position(epoch, offset), draft.body)


def new_epoch() -> str:
    """What no epoch was called before; it goes into every frame."""
    return token_hex(8)
