"""What the services under test are started with, and the database behind their back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.adapters import open_history
from app.database.base import Database

from ..databases import own_database

PROGRAMS = Path(__file__).parent / "programs"


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[Database]:
    """The database of these services, for who goes behind their back."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_database(folder).items():
            patch.setenv(name, value)
        async with open_history() as history:
            yield history.database
