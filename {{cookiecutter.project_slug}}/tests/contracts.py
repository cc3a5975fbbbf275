"""Opens every adapter of a role, so that one suite can hold all of them to its contract.

An adapter is tested by being there: a module beside `base.py` with an `open_<role>` function.
One that needs a server is skipped, with what to set, unless REQUIRE_SERVICES=1.
"""

import os
from contextlib import AsyncExitStack
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import app

from .nearby import Clock, another_node


class Adapter:
    """One module that fills a role."""

    def __init__(self, role: str, name: str) -> None:
        self.name = name
        self._open = getattr(import_module(f"app.{role}.{name}"), f"open_{role}", None)

    @property
    def exists(self) -> bool:
        """Whether the module is an adapter."""
        return self._open is not None

    @property
    def takes_clock(self) -> bool:
        """Whether a test can let time pass for it."""
        return self._open is not None and "clock" in signature(self._open).parameters

    async def open(self, stack: AsyncExitStack, clock: Clock | None = None) -> Any:
        """What one node gets; closed with the stack."""
        assert self._open is not None
        try:
            opened = self._open(clock=clock) if clock else self._open()
            return await stack.enter_async_context(opened)
        except ValidationError as error:
            lacking = [
                f"APP_{e['loc'][0]}".upper() for e in error.errors() if e["type"] == "missing"
            ]
            if not lacking or os.environ.get("REQUIRE_SERVICES") == "1":
                raise
            pytest.skip(f"{self.name} needs a server: set {', '.join(lacking)}")

    async def open_two(self, stack: AsyncExitStack, clock: Clock | None = None) -> tuple[Any, Any]:
        """What two nodes get; inside one process they share what the first has."""
        one = await self.open(stack, clock)
        if self.name == "memory":
            return one, another_node(one)
        return one, await self.open(stack, clock)


def adapters(role: str, *, with_clock: bool = False) -> list[Any]:
    """The parameters of a fixture: all adapters of a role, or those whose time a test can move."""
    folder = Path(app.__file__).parent / role
    names = sorted(
        path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "base")
    )
    found = [adapter for name in names if (adapter := Adapter(role, name)).exists]
    return [
        pytest.param(adapter, id=adapter.name)
        for adapter in found
        if adapter.takes_clock or not with_clock
    ]
