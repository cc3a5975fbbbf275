"""What a service promises of an outage of its database, and how it is held to that."""

import asyncio
from contextlib import AbstractContextManager
from time import monotonic

from ..conftest import Connect
from ..service import API_KEY, PATIENCE, Service, Wire

SECONDS = 1.0
"""How long the services here wait for their database."""
SHORT = {"APP_DATABASE_SECONDS": str(SECONDS)}
LITTLE = 0.8
"""How much longer an answer may take, on a busy machine."""


async def until(service: Service, status: str) -> list[str]:
    """Wait until the service says that it is ready, degraded or unready; gives the reasons."""
    async with asyncio.timeout(PATIENCE), service.rest() as http:
        while (answer := (await http.get("/readyz")).json())["status"] != status:
            await asyncio.sleep(0.02)
        reasons: list[str] = answer["reasons"]
        return reasons


async def say(wire: Wire, text: str) -> str:
    """Publish in the lobby under a key of its own: `ok`, or why not, in bounded time."""
    begun = monotonic()
    data = {"text": text}
    reply = await wire.ask(type="publish", channel="chat:lobby", data=data, key=text)
    assert monotonic() - begun < SECONDS + LITTLE
    return "ok" if reply["type"] == "ok" else str(reply["code"])


async def kept(wire: Wire) -> list[str]:
    """What is in the lobby's history."""
    found: list[str] = []
    while True:
        page = await wire.ask(type="history", channel="chat:lobby", after=len(found), limit=100)
        first = len(found) + 1
        found += [each["data"]["text"] for each in page["messages"]]
        assert [each["offset"] for each in page["messages"]] == [*range(first, len(found) + 1)]
        if not page["has_more"]:
            return found


async def outlast(
    service: Service,
    connect: Connect,
    outage: AbstractContextManager[None],
    *,
    degraded: bool = True,
) -> None:
    """Go through an outage: answers come in time, the rest goes on, and it heals by itself."""
    ann, bob = await connect("ann", to=service), await connect("bob", to=service)
    for wire in (ann, bob):
        for channel in ("chat:lobby", "echo:x"):
            assert (await wire.ask(type="subscribe", channel=channel))["type"] == "subscribed"
    assert await say(ann, "before") == "ok"
    assert (await bob.hear_type("message"))["data"] == {"text": "before"}
    await asyncio.to_thread(outage.__enter__)
    try:
        assert await say(ann, "during") == "unavailable"
        await goes_on(ann, bob)
        if degraded:
            assert await until(service, "degraded") == ["history cannot be reached"]
            assert await say(ann, "during") == "unavailable"
            await goes_on(ann, bob)
    finally:
        await asyncio.to_thread(outage.__exit__, None, None, None)
    await until(service, "ready")
    assert await say(ann, "during") == "ok"
    assert await say(ann, "after") == "ok"
    assert await kept(ann) == ["before", "during", "after"]
    heard = [each for each in await bob.heard() if each["type"] == "message"]
    assert [each["data"]["text"] for each in heard] == ["during", "after"]
    assert "Traceback" not in service.log


async def goes_on(ann: Wire, bob: Wire) -> None:
    """Everything that is not kept."""
    assert (await ann.ask(type="ping"))["type"] == "pong"
    assert (await ann.ask(type="publish", channel="echo:x", data="hello"))["type"] == "ok"
    assert (await bob.hear_type("message"))["data"] == "hello"
    asked = await ann.ask(type="signal", channel="echo:x", kind="typing")
    assert asked["type"] == "ok"
    assert (await bob.hear_type("signal"))["kind"] == "typing"


async def begins_later(service: Service) -> None:
    """A service that was started while its database was away does all it does, once it is back.

    It is asked by a server, whose key opens every door, also where only real users are let in.
    """
    await until(service, "ready")
    path, said = "/api/channels/chat:lobby/messages", {"data": {"text": "hello"}}
    async with service.rest({"X-API-Key": API_KEY}) as http:
        async with asyncio.timeout(PATIENCE):
            while (await http.post(path, json=said)).is_error:
                await asyncio.sleep(0.02)
        rooms, page = (await http.get("/api/rooms")).json(), (await http.get(path)).json()
    assert "chat:lobby" in str(rooms)
    assert [each["data"] for each in page["messages"]] == [said["data"]]
    assert "Traceback" not in service.log
