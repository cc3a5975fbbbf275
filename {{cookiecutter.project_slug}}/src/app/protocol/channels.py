"""Names of channels, and places in what was published to them."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from pydantic import ConfigDict, Field

LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every JSON parser keeps exact (RFC 8259, section 6)."""

NAMESPACE = r"[a-z][a-z0-9_]{0,31}"
NAME = r"[A-Za-z0-9._-]{1,128}"

ChannelName = Annotated[
    str,
    Field(pattern=f"^{NAMESPACE}:{NAME}$", description="namespace:name", examples=["chat:lobby"]),
]

Offset = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Epoch = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]

_PLAIN_USER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one channel's history: everything up to `offset` in this `epoch`.

    Offsets rise by one per publication. A new epoch says that the numbering began anew;
    the epoch `""` at offset 0 is where a channel stands before anything was published.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    epoch: Epoch
    offset: Offset


START = Position("", 0)


def personal_channel(user: str) -> str:
    """The channel of one user, for any user id; a digest stands for ids that are no channel name.

    Distinct users get distinct channels: a digest begins with a dot, a plain id cannot.
    """
    plain = _PLAIN_USER.fullmatch(user)
    return f"user:{user if plain else '.' + sha256(user.encode()).hexdigest()}"
