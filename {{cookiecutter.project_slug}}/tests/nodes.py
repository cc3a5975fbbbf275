"""Several processes that are one service, and what they have in history."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .brokers import own_broker
from .databases import own_database
from .service import API_KEY, PROGRAM, Service, running
from .shapes import Frame

SECRET = "the same secret on all the nodes of the tests"


@contextmanager
def nodes(
    folder: Path,
    *,
    count: int = 2,
    program: Sequence[str] = PROGRAM,
    apart: bool = False,
    **settings: str | None,
) -> Iterator[list[Service]]:
    """Services that share a database and know the same users; and a broker, unless `apart`."""
    shared = own_database(folder) | {"APP_JWT_SECRET": SECRET}
    if not apart:
        shared |= own_broker(folder)
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
