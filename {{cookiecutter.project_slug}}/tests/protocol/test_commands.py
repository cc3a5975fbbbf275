"""Where the limits of a command's fields lie."""

import pytest
from pydantic import TypeAdapter, ValidationError

from app.protocol.commands import AnyCommand

_commands: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)

SUBSCRIBE = {"type": "subscribe", "channel": "chat:x"}
PUBLISH = {"type": "publish", "channel": "chat:x", "data": 1}
SIGNAL = {"type": "signal", "channel": "chat:x", "kind": "typing"}
HISTORY = {"type": "history", "channel": "chat:x"}


def nested(levels: int) -> object:
    """Lists in each other; the innermost is empty."""
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("command", "field", "last_good", "first_bad"),
    [
        ({"type": "ping"}, "id", "x" * 64, "x" * 65),
        ({"type": "ping"}, "id", 2**53 - 1, 2**53),
        ({"type": "ping"}, "id", -(2**53) + 1, -(2**53)),
        ({"type": "auth"}, "token", "t" * 8192, "t" * 8193),
        (SUBSCRIBE, "last", 100, 101),
        (SUBSCRIBE, "last", 0, -1),
        (SUBSCRIBE, "channel", "n" * 32 + ":x", "n" * 33 + ":x"),
        (SUBSCRIBE, "channel", "chat:" + "x" * 128, "chat:" + "x" * 129),
        (PUBLISH, "key", "k" * 64, "k" * 65),
        (PUBLISH, "key", "k", ""),
        (PUBLISH, "data", nested(64), nested(65)),
        (SIGNAL, "kind", "k" * 32, "k" * 33),
        (SIGNAL, "data", nested(64), nested(65)),
        (HISTORY, "limit", 1, 0),
        (HISTORY, "limit", 100, 101),
        (HISTORY, "after", 0, -1),
        (HISTORY, "before", 2**53 - 1, 2**53),
        (HISTORY, "epoch", "e" * 64, "e" * 65),
    ],
)
def test_limits_of_fields(
    command: dict[str, object], field: str, last_good: object, first_bad: object
) -> None:
    _commands.validate_python({**command, field: last_good})
    with pytest.raises(ValidationError):
        _commands.validate_python({**command, field: first_bad})
