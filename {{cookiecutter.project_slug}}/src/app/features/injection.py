"""Makes hooks of functions whose parameters say what they need, as in a route."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.params import Depends
from pydantic.fields import FieldInfo

from ..realtime.hooks import Hook, Operation

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Call:
    """One operation, and what was called and opened for it so far."""

    operation: Operation
    stack: AsyncExitStack
    values: dict[Function, Any] = field(default_factory=dict)


_Source = Callable[[_Call], Awaitable[Any]]


@dataclass(frozen=True)
class Injector:
    """Reads signatures once; a parameter that nothing provides is a TypeError, at once.

    `given` is provided by type, from the operation; where a dependency takes a request, a function
    that does without is called `instead`. What is in `app.dependency_overrides` precedes both. Of
    the options of `Depends`, `use_cache` has a meaning here.
    """

    given: Sequence[tuple[object, Callable[[Operation], Any]]]
    instead: Mapping[Function, Function]

    def inject(self, function: Function) -> Hook:
        """The function as a hook: each operation has its own dependencies, each called once.

        Those that yield are closed when the function is done, the last one first, and before the
        operation is carried out: none is held open while a message is stored. What the function
        raises is raised in them. As in a route, what is not async runs in a thread.
        """
        run = self._read(function)

        async def hook(operation: Operation) -> Any:
            async with AsyncExitStack() as stack:
                return await run(_Call(operation, stack))
            raise RuntimeError("a dependency caught an exception and did not raise it again")

        return hook

    def _read(self, function: Function) -> _Source:
        start = _starter(function)
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        found = [(each.name, self._source(function, each)) for each in parameters]
        sources = [(name, source) for name, source in found if source is not None]

        async def run(call: _Call) -> Any:
            return await start(call.stack, {name: await source(call) for name, source in sources})

        return run

    def _source(self, function: Function, parameter: inspect.Parameter) -> _Source | None:
        """What provides a parameter; None where its own default does."""
        hint, default = parameter.annotation, parameter.default
        kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        marks = [each for each in (*extras, default) if isinstance(each, Depends)]
        if marks:
            return self._dependency(marks[-1].dependency or kind, marks[-1].use_cache)
        for wanted, take in self.given:
            if wanted in (hint, kind):
                return partial(_take, take)
        if default is parameter.empty or isinstance(default, FieldInfo):
            known = ", ".join(getattr(wanted, "__name__", str(wanted)) for wanted, _ in self.given)
            name = getattr(function, "__qualname__", function)
            raise TypeError(
                f"nothing provides `{parameter}` of {name}: "
                f"annotate it as a dependency, Annotated[T, Depends(f)], or as one of {known}"
            )
        return None

    def _dependency(self, function: Function, use_cache: bool) -> _Source:
        run = self._read(self.instead.get(function, function))

        async def source(call: _Call) -> Any:
            if use_cache and function in call.values:
                return call.values[function]
            override = call.operation.node.overrides().get(function)
            value = await (run if override is None else self._read(override))(call)
            call.values.setdefault(function, value)
            return value

        return source


async def _take(take: Callable[[Operation], Any], call: _Call) -> Any:
    return take(call.operation)


def _starter(function: Function) -> Callable[[AsyncExitStack, dict[str, Any]], Awaitable[Any]]:
    """How to call a function of its kind; the stack closes what it opens."""
    plain = inspect.isroutine(function) or isinstance(function, (type, partial))
    shape = function if plain else type(function).__call__
    if inspect.isasyncgenfunction(shape):
        opened = asynccontextmanager(function)
        return lambda stack, values: stack.enter_async_context(opened(**values))
    if inspect.isgeneratorfunction(shape):
        entered = contextmanager(function)
        return lambda stack, values: stack.enter_async_context(
            contextmanager_in_threadpool(entered(**values))
        )
    if inspect.iscoroutinefunction(shape):
        return lambda stack, values: function(**values)
    return lambda stack, values: run_in_threadpool(function, **values)
