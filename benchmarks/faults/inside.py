"""The service with a look inside and a slow command; it runs in the project's environment.

`GET /inside` counts tasks and what every object of the engine holds; a publication to `slow:<name>`
takes a minute. Nothing of this is in the generated project.
"""

import asyncio
import gc
import runpy
from collections.abc import Collection, Iterator
from typing import Any

from app import adapters
from app.features.base import CurrentNode, Feature
from app.protocol.commands import Json
from app.realtime.hooks import Operation
from app.realtime.namespaces import Namespace

SECONDS = 60.0
dawdling: set[int] = set()


async def dawdle(operation: Operation) -> None:
    """Take a minute."""
    dawdling.add(id(operation))
    try:
        await asyncio.sleep(SECONDS)
    finally:
        dawdling.discard(id(operation))


def sizes(owner: object, path: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """How much is in each collection of an object of the service, and of those that it has."""
    seen.add(id(owner))
    for name in (*getattr(owner, "__dict__", ()), *getattr(type(owner), "__slots__", ())):
        value = getattr(owner, name, None)
        if isinstance(value, Collection) and not isinstance(value, str | bytes | tuple):
            inner = value.values() if isinstance(value, dict) else value
            deep = sum(len(each) for each in inner if isinstance(each, list | set | dict))
            yield f"{path}.{name}", len(value) + deep
        elif type(value).__module__.startswith("app.") and id(value) not in seen:
            yield from sizes(value, f"{path}.{name}", seen)


async def inside(node: CurrentNode) -> dict[str, Any]:
    """What would grow if something were kept; garbage does not count."""
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "dawdling": len(dawdling),
        **dict(sizes(node, "node", set())),
    }


if __name__ == "__main__":
    slow = Feature(Namespace("slow", payload=Json), on_publish=dawdle)
    adapters.FEATURES = (*adapters.FEATURES, slow)
    from app.main import app

    app.get("/inside")(inside)
    runpy.run_module("app", run_name="__main__")
