"""A bare ASGI echo: `python echo.py own` on the service's protocol classes, `stock` on uvicorn's.

It runs in the project's environment, since the classes are there; APP_PORT says where.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from app.server import uvicorn_options
from app.settings import Limits, ServerSettings

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """What one says, one gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        said = {key: event[key] for key in ("text", "bytes") if event.get(key) is not None}
        await send({"type": "websocket.send", **said})


if __name__ == "__main__":
    options = uvicorn_options(ServerSettings(), Limits())
    options |= {"app": echo, "lifespan": "off"}
    if sys.argv[1] == "stock":
        for own in ("ws", "http"):
            options.pop(own, None)
    asyncio.run(uvicorn.Server(uvicorn.Config(**options)).serve())
