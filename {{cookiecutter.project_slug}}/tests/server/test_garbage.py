"""Whatever a stranger sends, nothing dies, no traceback is logged, and nobody else gets any of it.

GARBAGE_EXAMPLES says how much is tried, ten frames or messages each.
"""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.protocol import commands

from ..service import PATIENCE, Connected, Service, running
from .stranger import asking, request

OURS, THEIRS = "chat:bystanders-6f1d", "chat:strangers"
LARGEST = 65_536
"""Bytes of a message; a connection does not outlive a larger one."""
BATCH = 10

GARBAGE = settings(
    max_examples=int(os.environ.get("GARBAGE_EXAMPLES", "60")),
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class Scene:
    """A service, somebody in a room of it, and a stranger who is not."""

    def __init__(self, service: Service, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.service = service
        self.run = run
        self.sent = 0
        self._said = 0

    async def begin(self) -> None:
        """Somebody subscribes."""
        self._log = (self.service.folder / "log").open()
        self._bystander = await Connected.open(self.service, "ann")
        await self._bystander.ask(type="subscribe", channel=OURS)

    async def end(self) -> None:
        """The same leaves, unharmed to the last."""
        await self.unharmed()
        await self._bystander.connection.close()
        self._log.close()

    async def unharmed(self) -> None:
        """Whoever is in the room gets what is said there, and nothing else, and the log is calm."""
        ann, said = self._bystander, str(self._said)
        self._said += 1
        await ann.say(type="publish", channel=OURS, data={"text": said})
        heard = [await ann.hear(), await ann.hear(), *await ann.heard()]
        assert sorted(each["type"] for each in heard) == ["message", "ok"]
        assert [each["data"] for each in heard if each["type"] == "message"] == [{"text": said}]
        assert "Traceback" not in self._log.read()

    async def frames(self, frames: list[bytes]) -> None:
        """The stranger shakes hands and sends bytes, each on a connection that the server ends."""
        for each in frames:
            lines = asking(self.service, await self.service.shown("mallory"))
            reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
            writer.write(request(*lines))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.write(each)
            writer.write_eof()
            with suppress(ConnectionResetError):  # it was cut while more was on its way
                await asyncio.wait_for(reader.read(), PATIENCE)
            writer.transport.abort()

    async def messages(self, messages: list[str]) -> None:
        """The stranger says this after an `auth`, or as a guest; the connection outlives it."""
        stranger = await Connected.open(self.service, "mallory")
        async with stranger.connection as connection:
            await stranger.ask(type="ping")
            for each in messages:
                await connection.send(each)
            assert (await stranger.ask(type="ping", id="alive"))["type"] == "pong"


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, record_testsuite_property: Callable[..., None]
) -> Iterator[Scene]:
    """A service that answers every error, however many there are."""
    often = dict.fromkeys(("COMMANDS_PER_SECOND", "COMMANDS_BURST", "MAX_ERRORS"), "1000000")
    often |= dict.fromkeys(("PUBLISHES_PER_SECOND", "PUBLISHES_BURST"), "1000000")
    folder, raised = tmp_path_factory.mktemp("garbage"), {f"APP_{n}": v for n, v in often.items()}
    with running(folder, **raised) as service, asyncio.Runner() as runner:
        scene = Scene(service, runner.run)
        runner.run(scene.begin())
        yield scene
        runner.run(scene.end())
        record_testsuite_property("sent", scene.sent)


# What a stranger may send below the messages


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame of which no part has to go with another: flags, opcode, mask, length, content."""
    payload = draw(st.binary(max_size=300))
    size = draw(st.just(len(payload)) | st.integers(0, 2**64 - 1))
    masked = draw(st.sampled_from((0x80, 0x80, 0x80, 0)))
    usual = 0 if size < 126 else 2 if size < 65_536 else 8
    form = draw(st.just(usual) | st.sampled_from((0, 2, 8)))  # how many bytes tell the length
    first = {0: size & 0x7F, 2: 126, 8: 127}[form]
    length = bytes((masked | first,)) + size.to_bytes(8, "big")[8 - form :]
    known = st.sampled_from((0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8A))
    head = bytes((draw(known | st.integers(0, 255)),)) + length
    return head + draw(st.binary(min_size=4, max_size=4)) + payload


BYTES = st.binary(max_size=200) | frames() | st.lists(frames(), max_size=5).map(b"".join)


# What a stranger may say, as text, since not all of it can be written by an encoder

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
HOSTILE = st.sampled_from(
    (
        *(r'"\ud800"', r'{"\udc00\ud83d":1}', r'"\u0000"', '"\0"', r'"\u202e"', '"*"', '"chat:"'),
        *("NaN", "-Infinity", "1e400", "-0", "9" * 5000, "9007199254740993", "-1", "1.5"),
        *("[" * 65 + "]" * 65, '{"a":' * 500 + "1" + "}" * 500, "[" * 40_000, f'"{"x" * 9000}"'),
        *("null", "true", "[]", "{}", '""', f'"{THEIRS}"', f'"{THEIRS}\\n"', '"user:ann"'),
    )
)
ANYTHING = HOSTILE | VALUES.map(json.dumps)
KINDS = get_args(get_args(commands.AnyCommand)[0])
FIELDS = sorted({name for kind in KINDS for name in kind.model_fields})
TYPES = [get_args(kind.model_fields["type"].annotation)[0] for kind in KINDS]
OTHERS = ["from", "message_id", "sent_at", "offset", "epoch", "user", "session", "ID"]
"""Fields that are the server's to say."""


def joined(fields: dict[str, str]) -> str:
    """An object of values that are JSON already, or should be."""
    return "{" + ",".join(f"{json.dumps(name)}:{each}" for name, each in fields.items()) + "}"


OBJECTS = st.builds(
    lambda kind, fields: joined({"type": json.dumps(kind), **fields}),
    st.sampled_from(TYPES) | TEXTS,
    st.dictionaries(st.sampled_from(FIELDS) | TEXTS, ANYTHING, max_size=6),
)

COMMANDS = [
    joined({"type": f'"{kind}"', "channel": f'"{THEIRS}"', **fields})
    for kind, fields in (
        ("subscribe", {"since": '{"epoch":"e","offset":3}', "last": "5", "presence": "true"}),
        ("publish", {"data": '{"text":"hello"}', "key": '"k"', "id": "1"}),
        ("signal", {"kind": '"typing"', "data": '{"a":1}'}),
        ("history", {"after": "3", "epoch": '"e"', "limit": "5"}),
        ("presence", {}),
    )
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A command in which something was put in, taken out or replaced."""
    text = draw(st.sampled_from(COMMANDS))
    for _ in range(draw(st.integers(1, 3))):
        place, cut = draw(st.integers(0, len(text))), draw(st.integers(0, 10))
        put = draw(st.sampled_from(("", '"', "{", "}", "[", "]", ":", ",", "\\", "\0")) | ANYTHING)
        text = text[:place] + put + text[place + cut :]
    return text


NO_DATA = st.sampled_from(
    (
        *(r'{"text":"\ud800"}', r'{"text":"\u0000"}', '{"text":NaN}', '{"text":""}', '{"text":1}'),
        *('{"text":"x","text":2}', f'{{"text":"{"x" * 4001}"}}', '{"Text":"x"}', '"x"', "[]", "{}"),
        *('{"text":"x","from":{"id":"ann"}}', '{"text":"x"', '{"text":"x"}}'),
    )
)
PUBLISH = {"type": '"publish"', "channel": f'"{OURS}"'}
INTRUSIONS = st.builds(lambda data: joined({**PUBLISH, "data": data}), NO_DATA) | st.builds(
    lambda name, value: joined({**PUBLISH, "data": '{"text":"x"}', name: value}),
    st.sampled_from(OTHERS),
    ANYTHING,
)
"""Publications to the room, each with something that must not be taken."""

MESSAGES = (TEXTS | OBJECTS | mutated() | INTRUSIONS).filter(
    lambda text: len(text.encode(errors="surrogatepass")) <= LARGEST
)


def batches(of: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    """Ten each, so that what was tried can be counted."""
    return st.lists(of, min_size=BATCH, max_size=BATCH)


@GARBAGE
@given(garbage=batches(BYTES))
def test_random_bytes_and_frames_harm_nobody(scene: Scene, garbage: list[bytes]) -> None:
    scene.sent += len(garbage)
    scene.run(scene.frames(garbage))
    scene.run(scene.unharmed())


@GARBAGE
@given(garbage=batches(MESSAGES))
def test_random_messages_harm_nobody(scene: Scene, garbage: list[str]) -> None:
    scene.sent += len(garbage)
    scene.run(scene.messages(garbage))
    scene.run(scene.unharmed())
