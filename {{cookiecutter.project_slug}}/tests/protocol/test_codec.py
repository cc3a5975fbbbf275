"""What is a command, what is not and why; and the frames that are spliced, not built."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import codec
from app.protocol.channels import Position
from app.protocol.commands import (
    Auth,
    Command,
    History,
    Ping,
    Pong,
    Presence,
    Publish,
    Signal,
    Subscribe,
    Unsubscribe,
)
from app.protocol.errors import CommandError, ErrorCode
from app.protocol.events import HistoryPage, Member, Ok, Welcome

from ..collecting import collecting
from ..shapes import parse
from .malformed import CANARY, MALFORMED, Malformed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"type":"auth","token":"t"}', Auth(type="auth", token="t")),
        (
            '{"type":"subscribe","channel":"chat:x","since":{"epoch":"e","offset":3},"last":5}',
            Subscribe(type="subscribe", channel="chat:x", since=Position("e", 3), last=5),
        ),
        (
            '{"type":"unsubscribe","channel":"chat:x","id":7}',
            Unsubscribe(type="unsubscribe", channel="chat:x", id=7),
        ),
        (
            '{"type":"publish","channel":"chat:x","data":[1,{"a":null}],"key":"k"}',
            Publish(type="publish", channel="chat:x", data=[1, {"a": None}], key="k"),
        ),
        (
            '{"type":"signal","channel":"chat:x","kind":"typing"}',
            Signal(type="signal", channel="chat:x", kind="typing"),
        ),
        (
            '{"type":"history","channel":"chat:x","before":9,"limit":2}',
            History(type="history", channel="chat:x", before=9, limit=2),
        ),
        (
            '{"type":"presence","channel":"chat:x","id":"ü"}',
            Presence(type="presence", channel="chat:x", id="ü"),
        ),
        ('{"type":"ping","id":null}', Ping(type="ping")),
        (' {"type":"pong"}\n', Pong(type="pong")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Command) else "",
)
def test_a_command_is_read_from_its_text(text: str, command: Command) -> None:
    assert codec.decode(text) == command


@pytest.mark.parametrize("malformed", MALFORMED, ids=lambda malformed: malformed.name)
def test_what_is_no_command_is_refused_with_its_id(malformed: Malformed) -> None:
    with pytest.raises(CommandError) as refused:
        codec.decode(malformed.text)
    assert refused.value.code == malformed.code
    assert CANARY not in refused.value.message
    assert codec.decode_id(malformed.text) == malformed.id


@pytest.mark.parametrize("text", ["[" * 50_000, '{"id":"m","data":' + "[" * 50_000])
def test_what_nests_too_deep_disturbs_nothing_that_runs_meanwhile(text: str) -> None:
    with collecting() as failed:
        assert codec.decode_id(text) is None
    assert failed == []


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        ("[" * 128, False),
        ("[" * 129, True),
        ("[[]," * 100 + "]" * 100, False),
        ("[" + "[{}]," * 1_000, False),
        (r'{"a":"\\\"' + "[" * 200 + '"}', False),
        (r'{"a":"\\"' + '{"b":' * 200, True),
    ],
)
def test_brackets_nest_where_they_are_no_text(text: str, deep: bool) -> None:
    assert codec.too_deep(text) is deep


def test_a_refusal_names_the_field() -> None:
    for text, field in (
        ('{"type":"subscribe","channel":"*"}', "channel"),
        ('{"type":"subscribe","channel":"chat:x","since":{"offset":-1}}', "since.epoch"),
        ('{"type":"ping","id":[]}', "id"),
        ("{}", "type"),
        ("[]", None),
    ):
        with pytest.raises(CommandError) as refused:
            codec.decode(text)
        assert refused.value.field == field


@given(TEXTS | (VALUES | st.floats() | st.dictionaries(TEXTS, VALUES)).map(json.dumps))
def test_whatever_text_comes_it_is_a_command_or_refused(text: str) -> None:
    try:
        assert isinstance(codec.decode(text), Command)
    except CommandError as refused:
        parse(codec.encode_error(refused, codec.decode_id(text)).payload)


@given(st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS.filter(lambda text: len(text) <= 64))
def test_a_usable_id_comes_back_as_it_was(id: str | int) -> None:
    text = json.dumps({"type": "nope", "id": id})
    late = CommandError(ErrorCode.TIMEOUT, "late")
    reply = parse(codec.encode_error(late, codec.decode_id(text)).payload)
    assert reply["id"] == id
    assert type(reply["id"]) is type(id)


def test_an_error_says_what_to_do() -> None:
    refused = CommandError(ErrorCode.OVERLOADED, "later", field="data", retry_after=0.25)
    assert parse(codec.encode_error(refused, 5).payload) == {
        "id": 5,
        "type": "error",
        "code": "overloaded",
        "message": "later",
        "retryable": True,
        "retry_after_ms": 250,
        "field": "data",
    }


@given(user=TEXTS, name=st.none() | TEXTS, data=VALUES, key=st.none() | TEXTS)
def test_a_message_says_exactly_what_was_published(
    user: str, name: str | None, data: Any, key: str | None
) -> None:
    member = Member(id=user, name=name)
    body = codec.encode_body("m1", "2020-01-01T00:00:00.000Z", member, _json(data), key)
    kept = parse(codec.encode_message("chat:x", Position("e-1", 7), body).payload)
    expected: dict[str, Any] = {
        "type": "message",
        "channel": "chat:x",
        "message_id": "m1",
        "sent_at": "2020-01-01T00:00:00.000Z",
        "from": {"id": user} if name is None else {"id": user, "name": name},
        "data": data,
    }
    if key is not None:
        expected["key"] = key
    assert parse(codec.encode_message("chat:x", None, body).payload) == expected
    assert kept == {**expected, "epoch": "e-1", "offset": 7}


def test_messages_are_spliced_exactly_as_they_were_pushed() -> None:
    page = HistoryPage(id="h", channel="chat:x", epoch="e", offset=2, has_more=False)
    frames = [
        codec.encode_message(
            "chat:x",
            Position("e", offset),
            codec.encode_body("m", "2020-01-01T00:00:00Z", Member(id="u"), b'{"a":1}', None),
        )
        for offset in (1, 2)
    ]
    spliced = parse(codec.encode_with(page, messages=frames).payload)
    assert spliced["messages"] == [parse(frame.payload) for frame in frames]
    assert spliced["id"] == "h"
    assert parse(codec.encode_with(page, messages=()).payload)["messages"] == []


@given(data=VALUES, name=st.none() | TEXTS)
def test_a_signal_carries_its_data_if_it_has_some(data: Any, name: str | None) -> None:
    sender = Member(id="u", name=name)
    signal = parse(codec.encode_signal("chat:x", "typing", sender, data))
    assert (signal["channel"], signal["kind"], signal["from"]["id"]) == ("chat:x", "typing", "u")
    assert signal.get("data") == data


def test_what_is_not_known_is_left_out() -> None:
    welcome: Mapping[str, Any] = {
        "session": "s",
        "user": {"id": "u"},
        "personal": "user:u",
        "node": "n",
        "heartbeat": {"interval_ms": 1, "timeout_ms": 1},
        "limits": {
            "message_bytes": 1,
            "channels": 1,
            "commands_per_second": 1.0,
            "commands_burst": 1,
        },
    }
    assert parse(codec.encode(Welcome(**welcome)).payload) == {"type": "welcome", **welcome}


def _json(data: Any) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize("id", [None, 7, 'a "quoted" ü'])
@pytest.mark.parametrize("duplicate", [True, False])
def test_the_reply_to_what_is_stored_is_the_event_in_bytes(id: Any, duplicate: bool) -> None:
    event = Ok(id=id, channel="chat:x", epoch="e", offset=3, duplicate=duplicate)
    stored = codec.encode_stored(id, "chat:x", Position("e", 3), duplicate)
    assert json.loads(stored.payload) == json.loads(codec.encode(event).payload)
