"""Going on with another token, in whatever way this service was generated with."""

from ...doors import open_door
from ...doors.base import Refused
from ...service import Service, Wire
from ...shapes import Frame
from .conftest import Enter


async def refresh(service: Service, wire: Wire, token: str) -> str:
    """What a connection is told that shows another token: `ok`, or why not."""
    try:
        carried = await open_door().renewal(service, token)
    except Refused as refused:
        return {401: "unauthenticated"}[refused.status]
    answer = await wire.ask(type="refresh", token=carried or token)
    return str(answer.get("code", "ok"))


async def go_on(service: Service, wire: Wire, come: Enter, token: str) -> tuple[Wire, list[Frame]]:
    """The connection that has another token from now on, and what was heard on it meanwhile.

    It is a new one where the server takes no other token on one that is there.
    """
    carried = await open_door().renewal(service, token)
    if carried is None:
        refused = await wire.ask(type="refresh", token=token)
        assert refused["code"] == "unsupported"
        return await come(token), []
    *heard, renewed = await wire.ask_all(type="refresh", token=carried)
    assert renewed["type"] == "ok" and renewed["expires_at"]
    return wire, heard
