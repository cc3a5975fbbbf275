"""Drafts as the tests of history write them."""

from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex

from app.history.base import Draft, Receipt
from app.protocol.codec import encode_body
from app.protocol.errors import CommandError
from app.protocol.events import Member

SENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def draft(channel: str, text: str, *, sender: str = "ann", key: str | None = None) -> Draft:
    """Something said in a channel; each call makes another message, even of the same text."""
    data = f'"{text}"'.encode()
    message_id = token_hex(8)
    return Draft(
        channel=channel,
        sender=sender,
        message_id=message_id,
        body=encode_body(message_id, SENT_AT.isoformat(), Member(id=sender), data, key),
        key=key,
        digest=sha256(data).digest() if key else None,
    )


def drafts(channel: str, count: int) -> list[Draft]:
    """The first so many things said."""
    return [draft(channel, str(number)) for number in range(1, count + 1)]


def stored(outcome: Receipt | CommandError) -> Receipt:
    """The receipt of a draft that was not refused."""
    assert isinstance(outcome, Receipt), outcome
    return outcome
