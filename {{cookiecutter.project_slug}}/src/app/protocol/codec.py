"""Text to commands, events to frames; what many will receive is encoded once and spliced."""

import json
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_json

from .channels import Position
from .commands import DEEPEST, AnyCommand, Id
from .errors import CommandError, ErrorCode
from .events import Error, Member
from .frames import Frame

_commands: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)
_id: TypeAdapter[Id | None] = TypeAdapter(Id | None)


def decode(text: str) -> AnyCommand:
    """The command in a client's message, parsed once from the raw text.

    Raises CommandError for anything else; no input raises another exception.
    """
    try:
        return _commands.validate_json(text)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False, include_input=False)[0]) from None


_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_BETWEEN = re.compile(r'"(?:[^"\\]+|\\.)*"?|[^][{}"]+', re.DOTALL)


def too_deep(text: str) -> bool:
    """Whether JSON nests so far that the standard library should not read it.

    That goes as deep as Python may, where whatever else happens to run fails, such as what a
    garbage collection ends.
    """
    return max(accumulate(_STEPS[each] for each in _BETWEEN.sub("", text)), default=0) > 2 * DEEPEST


def decode_id(text: str) -> Id | None:
    """The `id` of a message that `decode` refused, where it has a usable one."""
    if too_deep(text):
        return None
    try:
        # The standard library reads more than JSON, such as half a character in another field.
        return _id.validate_python(json.loads(text)["id"], strict=True)
    except (LookupError, TypeError, ValueError):
        return None


def encode(event: BaseModel) -> Frame:
    """One event as a frame."""
    return Frame(_json(event))


def encode_error(error: CommandError, id: Id | None = None) -> Frame:
    """The reply that says why a command was refused."""
    code, message, field, again = error.code, error.message, error.field, error.code.retryable
    # A client that comes back exactly then must not be too early.
    wait = None if error.retry_after is None else math.ceil(error.retry_after * 1000)
    event = Error(
        id=id, code=code, message=message, retryable=again, retry_after_ms=wait, field=field
    )
    return encode(event)


def encode_stored(id: Id | None, channel: str, position: Position, duplicate: bool) -> Frame:
    """The `ok` to a publication that is kept; one for each, so it is not made an event first."""
    said = b"" if id is None else b'"id":%b,' % to_json(id)
    place = to_json(channel), to_json(position.epoch), position.offset, to_json(duplicate)
    return Frame(
        b'{"type":"ok",%b"channel":%b,"epoch":%b,"offset":%d,"duplicate":%b}' % (said, *place)
    )


def encode_body(
    message_id: str, sent_at: str, sender: Member, data: bytes, key: str | None
) -> bytes:
    """What a publication says, as the inside of a JSON object; `data` is JSON already.

    Id and time are the server's and need no escape.

    Stores and brokers carry it as it is; `encode_message` makes it a frame.
    """
    said = message_id.encode(), sent_at.encode(), _member(sender.id, sender.name), data
    body = b'"message_id":"%b","sent_at":"%b","from":%b,"data":%b' % said
    return body if key is None else b'%b,"key":%b' % (body, to_json(key))


def encode_message(channel: str, position: Position | None, body: bytes) -> Frame:
    """The `message` frame of a publication, the same for every recipient."""
    if position is None:
        return Frame(b"%b%b}" % (_head(channel, None), body))
    head = _head(channel, position.epoch)
    return Frame(b'%b"offset":%d,%b}' % (head, position.offset, body))


def encode_with(event: BaseModel, *, messages: Iterable[Frame]) -> Frame:
    """An event with `messages` spliced in, each exactly as it was pushed."""
    inside = b",".join([frame.payload for frame in messages])
    return Frame(b'%b,"messages":[%b]}' % (_json(event)[:-1], inside))


def encode_signal(channel: str, kind: str, sender: Member, data: Any) -> bytes:
    """The `signal` frame, the same for every recipient."""
    said = {} if data is None else {"data": data}
    who = sender.model_dump(exclude_none=True)
    return to_json({"type": "signal", "channel": channel, "kind": kind, "from": who, **said})


def _json(event: BaseModel) -> bytes:
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


@lru_cache(maxsize=4096)
def _member(id: str, name: str | None) -> bytes:
    return to_json(Member(id=id, name=name), exclude_none=True)


@lru_cache(maxsize=4096)
def _head(channel: str, epoch: str | None) -> bytes:
    head = b'{"type":"message","channel":%b,' % to_json(channel)
    return head if epoch is None else b'%b"epoch":%b,' % (head, to_json(epoch))


def _explain(problem: ErrorDetails) -> CommandError:
    """One sentence for the client, which never repeats what the client sent."""
    kind, place = problem["type"], problem["loc"]
    if kind == "union_tag_not_found":
        return CommandError(ErrorCode.INVALID_MESSAGE, "a message needs a type", field="type")
    if kind == "union_tag_invalid":
        return CommandError(ErrorCode.UNKNOWN_TYPE, "no command has this type", field="type")
    if len(place) < 2:
        return CommandError(ErrorCode.INVALID_MESSAGE, f"not a JSON object: {problem['msg']}")
    # The first part names the command; of a union such as `id`, the rest names its alternatives.
    field = "id" if place[1] == "id" else ".".join(str(part) for part in place[1:])[:128]
    return CommandError(ErrorCode.INVALID_MESSAGE, problem["msg"], field=field)
