"""Channels over HTTP: publish from a server, read history, see who is here."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel

from ..auth.dependencies import CurrentPrincipal
from ..features.base import CurrentNode
from ..protocol.channels import NAME, NAMESPACE, Offset
from ..protocol.commands import History, Json, Key, Presence, Publish
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.events import HistoryPage, Message, Ok, PresenceReply
from ..realtime import publishing
from ..realtime.reading import read_page, read_presence

router = APIRouter(prefix="/api/channels/{channel}", tags=["channels"])

Channel = Annotated[str, Path(pattern=f"^{NAMESPACE}:{NAME}$", examples=["chat:lobby"])]


class NewMessage(BaseModel):
    """What a server publishes; a `key` makes a retry safe."""

    data: Json
    key: Key | None = None


class HistoryWithMessages(HistoryPage):
    """Messages as they were pushed, ascending; the channel stands at `offset`."""

    messages: Sequence[Message]


@router.post("/messages", status_code=201, response_model_exclude_none=True)
async def publish(
    channel: Channel, message: NewMessage, node: CurrentNode, principal: CurrentPrincipal
) -> Ok:
    """Publish as a server: with the API key, or with a token of the scope `publish`."""
    if "publish" not in principal.scopes:
        raise CommandError(ErrorCode.FORBIDDEN, "needs X-API-Key, or the scope publish")
    wanted = Publish(type="publish", channel=channel, data=message.data, key=message.key)
    published = await publishing.publish(node, principal, wanted)
    return publishing.acknowledge(wanted, await published)


def _window(
    channel: Channel,
    after: Annotated[Offset | None, Query()] = None,
    before: Annotated[Offset | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> History:
    return History(type="history", channel=channel, after=after, before=before, limit=limit)


@router.get("/messages", response_model=HistoryWithMessages)
async def history(
    wanted: Annotated[History, Depends(_window)], node: CurrentNode, principal: CurrentPrincipal
) -> Response:
    """Next after, or next before, an offset; else the newest. Subscribe with `since` to go on."""
    page = await read_page(node, principal, wanted)
    return Response(page.payload, media_type="application/json")


@router.get("/presence", response_model_exclude_none=True)
async def presence(
    channel: Channel, node: CurrentNode, principal: CurrentPrincipal
) -> PresenceReply:
    """Who is here, over all nodes; `users` may be cut short, `count` is not."""
    return await read_presence(node, principal, Presence(type="presence", channel=channel))
