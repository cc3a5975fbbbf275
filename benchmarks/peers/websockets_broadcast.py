"""The websockets library with its `broadcast`, on the event loop that uvicorn uses too."""

import os
import signal

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: set[ServerConnection] = set()


async def chat(connection: ServerConnection) -> None:
    """What one says, all get."""
    connections.add(connection)
    try:
        async for message in connection:
            broadcast(connections, message)
    finally:
        connections.discard(connection)


async def main() -> None:
    """Serve until SIGTERM."""
    async with serve(chat, "127.0.0.1", int(os.environ["PORT"])) as server:
        server.get_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


uvloop.run(main())
