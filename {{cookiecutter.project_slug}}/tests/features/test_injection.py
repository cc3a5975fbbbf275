"""What the functions of a feature may ask for, when it is closed, and what they may not."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import Depends, Query, Request
from pydantic import BaseModel

from app.auth.base import Principal
from app.auth.dependencies import CurrentPrincipal, current_principal
from app.features.base import CurrentNode, Feature
from app.protocol.commands import Json
from app.protocol.errors import CommandError, ErrorCode
from app.realtime.hooks import Hook, Operation
from app.realtime.namespaces import Namespace
from app.realtime.node import Node

from ..realtime.stage import open_node


class Vote(BaseModel):
    """A payload."""

    choice: str


@pytest.fixture
async def operation() -> AsyncIterator[Operation]:
    """Ann is about to vote."""
    async with open_node() as node:
        yield Operation(node, Principal("ann"), "votes:x", Vote(choice="yes"))


def hook(function: Callable[..., Any], payload: Any = Vote) -> Hook:
    """What a feature makes of its `on_publish`."""
    made = Feature(Namespace("votes", payload=payload), on_publish=function).namespace.on_publish
    assert made is not None
    return made


def overridden(
    operation: Operation, overrides: Mapping[Callable[..., Any], Callable[..., Any]]
) -> Operation:
    """The same operation, where tests put something in the place of dependencies."""
    return replace(operation, node=replace(operation.node, overrides=lambda: overrides))


async def test_a_feature_without_hooks_has_none() -> None:
    namespace = Feature(Namespace("votes", payload=Vote)).namespace
    assert namespace.on_subscribe is None and namespace.on_publish is None


async def test_a_function_has_what_it_asks_for(operation: Operation) -> None:
    async def ask(
        vote: Vote,
        about: Operation,
        node: Node,
        principal: Principal,
        here: CurrentNode,
        who: CurrentPrincipal,
        level: int = 3,
    ) -> object:
        return vote, about, node, principal, here, who, level

    node, ann = operation.node, operation.principal
    expected = (operation.data, operation, node, ann, node, ann, 3)
    assert await hook(ask)(operation) == expected


async def test_a_payload_is_known_by_its_type_whatever_that_is(operation: Operation) -> None:
    async def ask(data: Json) -> object:
        return data

    assert await hook(ask, payload=Json)(replace(operation, data=[1])) == [1]


def plain(principal: Principal) -> str:
    return f"for {principal.user}"


async def coroutine(principal: Principal) -> str:
    return f"for {principal.user}"


def generator(principal: Principal) -> Iterator[str]:
    yield f"for {principal.user}"


async def async_generator(principal: Principal) -> AsyncIterator[str]:
    yield f"for {principal.user}"


class Greeting(str):
    """A class whose arguments are dependencies."""

    __slots__ = ()

    def __new__(cls, principal: Principal) -> "Greeting":
        return super().__new__(cls, f"for {principal.user}")


@dataclass(frozen=True)
class Greeter:
    """An object that is called."""

    word: str

    async def __call__(self, principal: Principal) -> str:
        return f"{self.word} {principal.user}"


async def worded(word: str, principal: Principal) -> str:
    return f"{word} {principal.user}"


@pytest.mark.parametrize(
    "dependency",
    [
        plain,
        coroutine,
        generator,
        async_generator,
        Greeting,
        Greeter("for"),
        partial(worded, "for"),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
async def test_whatever_can_be_called_is_a_dependency(
    operation: Operation, dependency: Callable[..., Any]
) -> None:
    async def annotated(greeting: Annotated[str, Depends(dependency)]) -> object:
        return greeting

    async def by_default(greeting: str = Depends(dependency)) -> object:
        return greeting

    for function in (annotated, by_default):
        assert await hook(function)(operation) == "for ann"


async def test_a_class_need_not_be_named_twice(operation: Operation) -> None:
    async def ask(greeting: Annotated[Greeting, Depends()]) -> object:
        return greeting

    assert await hook(ask)(operation) == "for ann"


async def test_what_could_block_runs_in_a_thread_and_the_rest_does_not(
    operation: Operation,
) -> None:
    def entered() -> Iterator[int]:
        yield threading.get_ident()

    async def opened() -> AsyncIterator[int]:
        yield threading.get_ident()

    def called() -> int:
        return threading.get_ident()

    async def awaited() -> int:
        return threading.get_ident()

    def ask(
        entered: Annotated[int, Depends(entered)],
        opened: Annotated[int, Depends(opened)],
        called: Annotated[int, Depends(called)],
        awaited: Annotated[int, Depends(awaited)],
    ) -> object:
        here = threading.main_thread().ident
        places = (threading.get_ident(), entered, called, opened, awaited)
        return [place == here for place in places]

    assert await hook(ask)(operation) == [False, False, False, True, True]


async def test_a_dependency_is_called_once_per_operation(operation: Operation) -> None:
    calls: list[str] = []

    async def base() -> int:
        calls.append("base")
        return len(calls)

    async def one(base: Annotated[int, Depends(base)]) -> int:
        return base

    async def two(base: Annotated[int, Depends(base)], one: Annotated[int, Depends(one)]) -> int:
        return base + one

    async def ask(
        one: Annotated[int, Depends(one)],
        two: Annotated[int, Depends(two)],
        base: Annotated[int, Depends(base)],
    ) -> object:
        return one, two, base

    asking = hook(ask)
    assert calls == []
    assert await asking(operation) == (1, 2, 1)
    assert await asking(operation) == (2, 4, 2)


async def test_or_anew_where_that_is_wanted(operation: Operation) -> None:
    numbers = iter(range(10))

    async def number() -> int:
        return next(numbers)

    async def ask(
        first: Annotated[int, Depends(number)],
        fresh: Annotated[int, Depends(number, use_cache=False)],
        same: Annotated[int, Depends(number)],
    ) -> object:
        return first, fresh, same

    assert await hook(ask)(operation) == (0, 1, 0)


class Diary:
    """Dependencies that note when they are opened and closed, and by what."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def first(self) -> AsyncIterator[str]:
        self.notes.append("open first")
        try:
            yield "first"
        except BaseException as error:
            self.notes.append(f"first: {type(error).__name__}")
            raise
        finally:
            self.notes.append("close first")

    def second(self) -> Iterator[str]:
        self.notes.append("open second")
        try:
            yield "second"
        except Exception as error:
            self.notes.append(f"second: {type(error).__name__}")
            raise
        finally:
            self.notes.append("close second")


async def test_what_was_opened_last_is_closed_first_and_before_the_operation(
    operation: Operation,
) -> None:
    diary = Diary()

    async def ask(
        first: Annotated[str, Depends(diary.first)], second: Annotated[str, Depends(diary.second)]
    ) -> None:
        diary.notes.append("ask")

    await hook(ask)(operation)
    assert diary.notes == ["open first", "open second", "ask", "close second", "close first"]


async def test_a_refusal_is_raised_in_what_is_open(operation: Operation) -> None:
    diary = Diary()
    refusal = CommandError(ErrorCode.FORBIDDEN, "no")

    async def ask(
        first: Annotated[str, Depends(diary.first)], second: Annotated[str, Depends(diary.second)]
    ) -> None:
        raise refusal

    with pytest.raises(CommandError) as refused:
        await hook(ask)(operation)
    assert refused.value is refusal
    assert diary.notes[2:] == [
        "second: CommandError",
        "close second",
        "first: CommandError",
        "close first",
    ]


async def test_a_dependency_may_refuse_too(operation: Operation) -> None:
    diary = Diary()

    async def refuse(first: Annotated[str, Depends(diary.first)]) -> None:
        raise CommandError(ErrorCode.FORBIDDEN, "no")

    async def ask(
        refused: Annotated[None, Depends(refuse)], second: Annotated[str, Depends(diary.second)]
    ) -> None:
        diary.notes.append("ask")

    with pytest.raises(CommandError):
        await hook(ask)(operation)
    assert diary.notes == ["open first", "first: CommandError", "close first"]


async def test_what_takes_too_long_is_closed(operation: Operation) -> None:
    diary = Diary()
    waiting = asyncio.Event()

    async def ask(first: Annotated[str, Depends(diary.first)]) -> None:
        waiting.set()
        await asyncio.Event().wait()

    asking = asyncio.ensure_future(hook(ask)(operation))
    await waiting.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert diary.notes == ["open first", "first: CancelledError", "close first"]


async def test_a_dependency_that_keeps_an_exception_to_itself_allows_nothing(
    operation: Operation,
) -> None:
    async def greedy() -> AsyncIterator[None]:
        try:
            yield
        except CommandError:
            return

    async def ask(nothing: Annotated[None, Depends(greedy)]) -> None:
        raise CommandError(ErrorCode.FORBIDDEN, "no")

    with pytest.raises(RuntimeError, match="did not raise it again"):
        await hook(ask)(operation)


async def test_tests_put_something_in_the_place_of_a_dependency(operation: Operation) -> None:
    diary = Diary()

    async def deep() -> str:
        return "declared"

    async def between(deep: Annotated[str, Depends(deep)]) -> str:
        return deep

    async def ask(
        between: Annotated[str, Depends(between)], who: CurrentPrincipal, principal: Principal
    ) -> object:
        return between, who.user, principal.user

    asking = hook(ask)
    assert await asking(operation) == ("declared", "ann", "ann")

    async def instead(first: Annotated[str, Depends(diary.first)], about: Operation) -> str:
        return f"{first} in {about.channel}"

    changed = overridden(operation, {deep: instead, current_principal: lambda: Principal("bob")})
    assert await asking(changed) == ("first in votes:x", "bob", "ann")
    assert diary.notes == ["open first", "close first"]
    assert await asking(operation) == ("declared", "ann", "ann")


def unannotated(vote) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001, RUF100
    pass


def of_a_request(request: Request) -> None:
    pass


def of_a_query(limit: int = Query(5)) -> None:
    pass


def of_another_type(limit: int) -> None:
    pass


def of_a_dependency(limit: Annotated[None, Depends(of_another_type)]) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (unannotated, "`vote` of unannotated"),
        (of_a_request, "`request: starlette.requests.Request` of of_a_request"),
        (of_a_query, "of of_a_query"),
        (of_another_type, "`limit: int` of of_another_type"),
        (of_a_dependency, "`limit: int` of of_another_type"),
    ],
)
def test_what_nothing_provides_is_said_at_once(
    function: Callable[..., Any], parameter: str
) -> None:
    with pytest.raises(TypeError) as refused:
        hook(function)
    assert parameter in str(refused.value)
    assert "Annotated[T, Depends(f)], or as one of Vote, Operation, Node" in str(refused.value)


def test_nothing_is_published_when_somebody_subscribes() -> None:
    async def ask(vote: Vote) -> None: ...

    with pytest.raises(TypeError, match="nothing provides `vote: "):
        Feature(Namespace("votes", payload=Vote), on_subscribe=ask)


async def test_signatures_are_read_once(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(who: CurrentPrincipal, greeting: Annotated[str, Depends(generator)]) -> object:
        return who.user, greeting

    asking = hook(ask)
    for name in ("signature", "isasyncgenfunction", "iscoroutinefunction", "isgeneratorfunction"):
        monkeypatch.delattr(inspect, name)
    assert await asking(operation) == ("ann", "for ann")
