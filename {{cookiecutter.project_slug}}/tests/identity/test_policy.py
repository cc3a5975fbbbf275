"""Who may no longer be in a channel is put out of it, and hears nothing more."""

from time import monotonic

from ..conftest import Connect
from ..service import API_KEY, Service
from .entry import SOON


async def test_a_rule_that_changes_ends_what_it_allowed(clubs: Service, connect: Connect) -> None:
    ann, bob = await connect("ann", to=clubs), await connect("bob", to=clubs)
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel="club:x", presence=True)
    async with clubs.rest() as http:
        await http.put(f"/banned/{ann.user}")
    begun = monotonic()
    refused = await ann.ask(type="publish", channel="club:x", data="at once, not at the next look")
    assert refused["code"] == "forbidden"
    ended = await ann.hear_type("unsubscribed")
    assert monotonic() - begun < SOON
    assert ended == {"type": "unsubscribed", "channel": "club:x", "reason": "policy changed"}
    await bob.ask(type="publish", channel="club:x", data="among us")
    async with clubs.rest({"X-API-Key": API_KEY}) as http:
        await http.post("/api/channels/club:x/messages", json={"data": "from a server"})
    assert await ann.heard() == []
    for command in ("subscribe", "history", "presence"):
        assert (await ann.ask(type=command, channel="club:x"))["code"] == "forbidden"
    said = await ann.ask(type="signal", channel="club:x", kind="typing")
    assert said["code"] == "not_subscribed"
    await bob.hear_type("leave")
    roster = await bob.ask(type="presence", channel="club:x")
    assert roster["users"] == [bob.welcome["user"]]
