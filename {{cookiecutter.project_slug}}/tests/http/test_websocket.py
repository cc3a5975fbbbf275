"""The socket, on a real server."""

from ..conftest import Connect


async def test_a_message_reaches_everybody_in_the_room(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel=channel)

    sent = await ann.ask(type="publish", channel=channel, data={"text": "hello"})
    heard = await bob.hear_type("message")

    assert heard["data"] == {"text": "hello"}
    assert heard["from"]["id"] == ann.user
    assert (heard["epoch"], heard["offset"]) == (sent["epoch"], sent["offset"])
