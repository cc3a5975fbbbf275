"""A chat over two nodes: who is there, what is said and kept, and an end that one node orders."""

from contextlib import AsyncExitStack

from ..nodes import history
from ..service import API_KEY, Connected, Service, Wire


async def meet(stack: AsyncExitStack, *nodes: Service) -> list[Connected]:
    """A user on each node."""
    met = []
    for node, user in zip(nodes, ("ann", "bob"), strict=True):
        met.append(await Connected.open(node, user))
        stack.push_async_callback(met[-1].connection.close)
    return met


async def hear_each_other(wires: list[Connected], channel: str) -> None:
    """Whatever anybody says, all hear; they have subscribed."""
    for speaker in wires:
        await speaker.say(type="publish", channel=channel, data={"text": speaker.user})
        heard = [await heard_from(speaker, hearer, channel) for hearer in wires]
        assert len(set(heard)) == 1


async def heard_from(speaker: Connected, hearer: Wire, channel: str) -> int:
    """The offset of the next message in a channel, which is somebody's."""
    heard = await hearer.hear_type("message")
    assert (heard["channel"], heard["from"]["id"]) == (channel, speaker.user)
    return int(heard["offset"])


async def carry_a_chat(one: Service, other: Service, channel: str) -> None:
    """All that nodes do together."""
    async with AsyncExitStack() as stack:
        wires = ann, bob = await meet(stack, one, other)
        await ann.ask(type="subscribe", channel=channel, presence=True)
        await bob.ask(type="subscribe", channel=channel)
        while (await ann.hear_type("join"))["user"]["id"] != bob.user:
            pass
        await hear_each_other(wires, channel)
        assert len(await history(one, channel)) == len(wires)
        async with one.rest({"X-API-Key": API_KEY}) as http:
            assert (await http.get("/readyz")).json()["status"] == "ready"
            ended = await http.delete("/api/connections", params={"user": bob.user})
            assert ended.is_success
        assert (await bob.closed())[0] >= 4000
        assert (await ann.hear_type("leave"))["user"]["id"] == bob.user
