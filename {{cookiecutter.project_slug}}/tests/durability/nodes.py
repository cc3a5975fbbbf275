"""Several processes on one database, and what both tests and programs say to them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from app.adapters import open_history
from app.database.base import Database

from ..databases import own_database
from ..service import API_KEY, PROGRAM, Service, running
from ..shapes import Frame

PROGRAMS = Path(__file__).parent / "programs"
SECRET = "the same secret on all the nodes of the tests"


@contextmanager
def nodes(
    folder: Path, *, count: int = 2, program: Sequence[str] = PROGRAM, **settings: str | None
) -> Iterator[list[Service]]:
    """Services that share a database and know the same users; nothing else connects them."""
    shared = own_database(folder) | {"APP_JWT_SECRET": SECRET}
    with ExitStack() as stack:
        services: list[Service] = []
        for number in range(count):
            (own := folder / str(number)).mkdir()
            starting = running(own, program=program, **{**shared, **settings})
            services.append(stack.enter_context(starting))
            services[-1].guests = services[0].guests
        yield services


async def history(service: Service, channel: str) -> list[Frame]:
    """All that is kept of a channel, page by page."""
    found: list[Frame] = []
    async with service.rest({"X-API-Key": API_KEY}) as http:
        while True:
            after = found[-1]["offset"] if found else 0
            path = f"/api/channels/{channel}/messages"
            answer = await http.get(path, params={"after": after})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["messages"]
            if not page["has_more"]:
                return found


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[Database]:
    """The database of these services, for who goes behind their back."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_database(folder).items():
            patch.setenv(name, value)
        async with open_history() as history:
            yield history.database
