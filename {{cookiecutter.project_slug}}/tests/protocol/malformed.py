"""Messages that are no commands though their frames are well-formed, each with its answer."""

import json
from dataclasses import dataclass
from typing import Any

CANARY = "canary-e1f0"
"""A text that a client sends, and that must not be found in any log."""
ROOM = "chat:malformed"


@dataclass(frozen=True)
class Malformed:
    """What is sent, and what the error says: its code, and the id where there is a usable one."""

    name: str
    text: str
    code: str = "invalid_message"
    id: str | int | None = None


def _wrong(name: str, code: str = "invalid_message", **command: Any) -> Malformed:
    """A JSON object with an id, in which something else is wrong."""
    return Malformed(name, json.dumps({"id": "m", **command}), code, "m")


def _raw(name: str, data: str) -> Malformed:
    """A publication with this data, as it stands on the wire."""
    text = f'{{"id":"m","type":"publish","channel":"{ROOM}","data":{data}}}'
    return Malformed(name, text, id="m")


def _channel(name: str) -> Malformed:
    return _wrong(f"channel {name[:20]!r}", type="subscribe", channel=name)


def _fields(command: dict[str, Any], name: str, *values: Any) -> list[Malformed]:
    """A command with each of these values in one field."""
    title = f"{command['type']}.{name}"
    return [_wrong(f"{title} {str(each)[:20]!r}", **{**command, name: each}) for each in values]


_PUBLISH = {"type": "publish", "channel": ROOM, "data": {"text": CANARY}}
_SUBSCRIBE = {"type": "subscribe", "channel": ROOM}
_SIGNAL = {"type": "signal", "channel": ROOM, "kind": "typing"}
_HISTORY = {"type": "history", "channel": ROOM}

NO_JSON = [
    Malformed("nothing", ""),
    Malformed("a blank", " "),
    Malformed("words", CANARY),
    Malformed("cut short", '{"type":"ping","id":"m"'),
    Malformed("two objects", '{"type":"ping","id":"m"}{"type":"ping"}'),
    Malformed("a byte order mark", '\ufeff{"type":"ping","id":"m"}'),
    Malformed("single quotes", "{'type':'ping','id':'m'}"),
    Malformed("a comment", f'{{"type":"ping"/* {CANARY} */}}'),
    Malformed("a trailing comma", '{"type":"ping","id":"m",}'),
    Malformed("a NUL in a string", f'{{"type":"{CANARY}\0","id":"m"}}'),
    Malformed("50,000 brackets", "[" * 50_000),
    Malformed("10,000 objects", '{"a":' * 10_000),
    Malformed("50,000 brackets in data", f'{{"id":"m","type":"publish","data":{"[" * 50_000}'),
    Malformed("an id of 5,000 digits", f'{{"type":"ping","id":{"9" * 5_000}}}'),
    Malformed("data of 5,000 digits", f'{{"type":"publish","data":{"9" * 5_000},"id":"m"}}'),
]

NO_OBJECT = [
    Malformed(text, text)
    for text in ("[]", "null", "true", "1", "NaN", f'"{CANARY}"', '[{"type":"ping","id":"m"}]')
]

NO_VALUE = [
    _raw("a lone surrogate", r'{"text":"\ud800"}'),
    _raw("half of an emoji", r'{"text":"\udc00\ud83d"}'),
    _raw("a lone surrogate in a name", r'{"\ud800":1}'),
    _raw("an escaped NUL", rf'{{"text":"{CANARY}\u0000"}}'),
    _raw("an escaped NUL in a name", r'{"\u0000":1}'),
    _raw("NaN", '{"text":NaN}'),
    _raw("Infinity", "[Infinity]"),
    _raw("minus Infinity", "-Infinity"),
    _raw("1e400", "1e400"),
    _raw("65 levels", "[" * 65 + "]" * 65),
    _raw("100 levels", '{"a":' * 100 + "1" + "}" * 100),
]

NO_TYPE = [
    Malformed("an empty object", "{}"),
    _wrong("no type"),
    _wrong("an unknown type", "unknown_type", type=CANARY),
    _wrong("another case", "unknown_type", type="PING"),
    _wrong("a number as type", "unknown_type", type=1),
    _wrong("null as type", "unknown_type", type=None),
    _wrong("a list as type", "unknown_type", type=["ping"]),
    _wrong("what only the server says", "unknown_type", type="welcome"),
    Malformed("the type twice", '{"type":"ping","type":"nope","id":"m"}', "unknown_type", "m"),
    Malformed("the id twice", '{"id":"first","type":"nope","id":"m"}', "unknown_type", "m"),
]

NO_ID = [
    Malformed(f"id {str(value)[:20]!r}", json.dumps({"type": "ping", "id": value}))
    for value in (2**53, -(2**53), 10**30, 1.5, True, ["m"], {"m": 1}, "m" * 65)
]

NO_CHANNEL = [
    _channel(name)
    for name in (
        "",
        "*",
        ":",
        "a",
        "a\n",
        "../",
        "{x}",
        "chat",
        "chat:",
        ":x",
        "chat:*",
        "chat:a\n",
        "chat:a\0",
        "chat:a b",
        "chat:a:b",
        "chat:../x",
        "chat:{x}",
        "chat:ä",
        "chat:" + "x" * 129,
        "chat:" + "x" * 10_000,
        "Chat:x",
        "CHAT:x",
        "1chat:x",
        "chat-room:x",
        " chat:x",
        "n" * 33 + ":x",
    )
]

NO_FIELD = [
    _wrong("an unknown field", type="ping", unknown=CANARY),
    _wrong("a field in another case", type="ping", ID=1),
    _wrong("no channel", type="subscribe"),
    _wrong("no data", type="publish", channel=ROOM),
    _wrong("no kind", type="signal", channel=ROOM),
    _wrong("no token", type="auth"),
    *_fields(_PUBLISH, "from", {"id": "admin"}),
    *_fields(_PUBLISH, "message_id", "mine"),
    *_fields(_PUBLISH, "sent_at", "2020-01-01T00:00:00Z"),
    *_fields(_PUBLISH, "offset", 1),
    *_fields(_PUBLISH, "epoch", "mine"),
    *_fields(_PUBLISH, "user", "admin"),
    *_fields(_PUBLISH, "key", 1, "", "k" * 65, "k\0", ["k"]),
    *_fields(_SUBSCRIBE, "channel", 1, None, [ROOM], {}),
    *_fields(_SUBSCRIBE, "last", -1, 101, "5", 1.5, True, None),
    *_fields(_SUBSCRIBE, "presence", 1, "yes", None),
    *_fields(_SUBSCRIBE, "since", "e:1", [], {}, {"epoch": "e"}, {"offset": 1}),
    *_fields(_SUBSCRIBE, "since", {"epoch": 1, "offset": 1}, {"epoch": "e e", "offset": 1}),
    *_fields(_SUBSCRIBE, "since", {"epoch": "e" * 65, "offset": 1}),
    *_fields(_SUBSCRIBE, "since", *({"epoch": "e", "offset": o} for o in (-1, 1.5, "1", 2**53))),
    *_fields(_SUBSCRIBE, "since", {"epoch": "e", "offset": 1, "more": 1}),
    *_fields(_SIGNAL, "kind", 1, "", "Typing", "a b", "k" * 33, "a\n"),
    *_fields(_HISTORY, "after", -1, 2**53, "1", 1.5),
    *_fields(_HISTORY, "before", -1, 2**53, "1", 1.5),
    *_fields(_HISTORY, "limit", 0, 101, -1, "5", None),
    *_fields(_HISTORY, "epoch", 1, "e" * 65, "e\n", "*"),
    *_fields({"type": "auth"}, "token", "", 1, None, "t" * 8193),
]

MALFORMED = [
    *NO_JSON,
    *NO_OBJECT,
    *NO_VALUE,
    *NO_TYPE,
    *NO_ID,
    *NO_CHANNEL,
    *NO_FIELD,
]
