"""An empty database of the kind that was chosen."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path

import pytest

from app.database.base import Database

from ..databases import KINDS, own_database

open_database: Callable[..., AbstractAsyncContextManager[Database]] = import_module(
    f"app.database.{KINDS[0]}"
).open_database


@pytest.fixture
async def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without tables; it is the one that the settings name."""
    for name, value in own_database(tmp_path, migrated=False).items():
        monkeypatch.setenv(name, value)
    async with open_database() as database:
        yield database
