"""The rooms over HTTP: list them, create one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ...auth.dependencies import CurrentPrincipal
from ...history.base import Room
from ...protocol.channels import NAME
from ...protocol.errors import CommandError, ErrorCode
from ...realtime.publishing import spend
from ..base import CurrentNode

router = APIRouter(prefix="/api/rooms", tags=["rooms"])


class NewRoom(BaseModel):
    """A room that somebody wants; its channel is `chat:<name>`."""

    name: Annotated[str, Field(pattern=f"^{NAME}$", examples=["support"])]
    title: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")] | None = None


class RoomView(BaseModel):
    """A room, and how many people are in it."""

    channel: str
    name: str
    title: str
    created_at: datetime
    created_by: str
    members: int

    @classmethod
    def of(cls, room: Room, members: int) -> Self:
        """A room as the API shows it."""
        return cls(
            channel=room.channel,
            name=room.channel.partition(":")[2],
            title=room.title,
            created_at=room.created_at,
            created_by=room.created_by,
            members=members,
        )


class RoomList(BaseModel):
    """All rooms, oldest first."""

    rooms: Sequence[RoomView]


@router.get("")
async def list_rooms(node: CurrentNode, principal: CurrentPrincipal) -> RoomList:
    """All rooms, oldest first."""
    rooms = await node.directory.listed()
    counts = [(await node.hub.roster(room.channel)).count for room in rooms]
    return RoomList(rooms=[RoomView.of(*each) for each in zip(rooms, counts, strict=True)])


@router.post("", status_code=201)
async def create_room(new: NewRoom, node: CurrentNode, principal: CurrentPrincipal) -> RoomView:
    """A new room; 409 if there is one of that name. It counts as a message of the user's."""
    await spend(node, principal)
    title = new.title or new.name
    room = await node.directory.create(f"chat:{new.name}", title, principal.user)
    if room is None:
        raise CommandError(ErrorCode.CONFLICT, "there is a room of this name", field="name")
    return RoomView.of(room, 0)
