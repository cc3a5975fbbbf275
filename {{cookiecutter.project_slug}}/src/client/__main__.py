"""A chat in the terminal: `python -m client ws://127.0.0.1:8000/ws chat:lobby --token …`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from io import FileIO
from threading import Thread

from websockets.exceptions import InvalidURI

from . import Client, ClientError, Joined, Left, Message, Restated, Roster, Subscription
from .auth import by_mode


def show(text: str) -> None:
    """Print a line, without what a terminal would take for a command."""
    sys.stdout.write("".join(each if each.isprintable() else "?" for each in text) + "\n")
    sys.stdout.flush()


async def listen(room: Subscription) -> None:
    """Show what happens in a channel."""
    async for event in room:
        match event:
            case Message(sender=who, data=data):
                text = data.get("text", data) if isinstance(data, dict) else data
                show(f"{who.name or who.id}: {text}")
            case Roster(users=users):
                show(f"* here: {', '.join(who.name or who.id for who in users)}")
            case Joined(user=who) | Left(user=who):
                show(f"* {who.name or who.id} {type(event).__name__.lower()}")
            case Restated(reason=reason):
                show(f"* messages may be missing here ({reason})")


async def typed() -> AsyncIterator[str]:
    """The lines of standard input, read by a thread that need not end."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        # Unbuffered: a thread that waits in sys.stdin holds a lock that Python wants at its exit.
        with FileIO(0, closefd=False) as stdin:
            line = b"-"
            while line:
                line = stdin.readline()
                loop.call_soon_threadsafe(lines.put_nowait, line)

    Thread(target=read, daemon=True).start()
    while line := await lines.get():
        yield line.decode(errors="replace").strip()


async def chat(url: str, channel: str, token: str) -> None:
    """Say what is typed and show what is said, until the input ends."""
    show(f"* connecting to {url.partition('?')[0]}, for as long as it takes")
    client = Client(url, auth=by_mode()(token), on_state=lambda state: show(f"* {state}"))
    async with client, asyncio.TaskGroup() as tasks:
        room = await client.subscribe(channel, last=20, presence=True)
        listening = tasks.create_task(listen(room))
        async for text in typed():
            if text:
                await client.publish(channel, {"text": text})
        listening.cancel()


def main() -> int:
    """Chat as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m client", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("channel")
    parser.add_argument("--token", default="", help="the token that proves who you are")
    status = 0
    try:
        asyncio.run(chat(**vars(parser.parse_args())))
    except* (ClientError, InvalidURI) as errors:
        show(f"* {errors.exceptions[0]}")
        status = 1
    except* KeyboardInterrupt:
        show("")
    return status


if __name__ == "__main__":
    sys.exit(main())
