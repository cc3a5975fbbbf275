"""Kinds of channels, and the directory of those that exist."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from time import monotonic
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..auth.base import SERVER, Principal
from ..auth.policy import Policy
from ..history.base import Room, Rooms
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from .hooks import Hook, Operation

MOST_KNOWN = 10_000
"""How many rooms are remembered to exist."""
BELIEVED_SECONDS = 30.0
"""How long the store is taken to have a room that it had."""


@dataclass(frozen=True)
class Namespace:
    """A kind of channel, declared in one place: `chat` is the kind of `chat:lobby`.

    `payload` is the type that `data` must have; what is `durable` is kept and can be recovered;
    a `listed` channel exists only once it was created as a room. The hooks are asked last, before
    an operation is carried out.
    """

    name: str
    payload: Any
    durable: bool = False
    presence: bool = False
    listed: bool = False
    policy: Policy = field(default_factory=Policy)
    on_subscribe: Hook | None = None
    on_publish: Hook | None = None

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.payload)

    def check(self, data: object) -> Any:
        """The data as a payload; raises CommandError for what is none of this kind."""
        try:
            return self._adapter.validate_python(data)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(["data", *(str(part) for part in problem["loc"])])[:128]
            raise CommandError(ErrorCode.INVALID_MESSAGE, problem["msg"], field=place) from None

    def encode(self, payload: Any) -> bytes:
        """A payload as JSON."""
        return self._adapter.dump_json(payload)

    async def revise(self, operation: Operation) -> bytes | None:
        """What `on_publish` has published instead: a payload as JSON, or None."""
        instead = self.on_publish and await self.on_publish(operation)
        try:
            return None if instead is None else self.encode(self.check(instead))
        except CommandError as wrong:
            raise TypeError(f"what on_publish returned is no payload: {wrong.message}") from None


class Directory:
    """Knows which channels exist, of what kind each is, and who may do what there.

    No room ever ceases to exist: one that is known here, and that the store has lost, is put back.
    """

    def __init__(
        self,
        namespaces: Iterable[Namespace],
        rooms: Rooms,
        *,
        creates: bool,
        lasting: Collection[str] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.namespaces = {namespace.name: namespace for namespace in namespaces}
        self.rooms = rooms
        self._creates = creates
        self._clock = clock
        self._lasting = {
            channel: (0.0, _room(channel, channel.partition(":")[2].capitalize(), SERVER.user))
            for channel in lasting
        }
        """The rooms that are there from the start."""
        self._known: dict[str, tuple[float, Room]] = dict(self._lasting)
        """Rooms that exist, and until when the store is taken to have them."""

    async def readable(
        self, principal: Principal, channel: str, presence: bool = False
    ) -> Namespace:
        """The namespace of a channel that exists and that the principal may read.

        With `presence` the principal may also see who is there.
        """
        namespace = self._kind(channel)
        if not namespace.policy.subscribe(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not read this", field="channel")
        await self._require(namespace, channel)
        if presence and not namespace.policy.presence(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not see who is here", field="presence")
        return namespace

    async def writable(self, principal: Principal, channel: str) -> Namespace:
        """The namespace of a channel that exists and that the principal may publish to."""
        namespace = self._kind(channel)
        if not namespace.policy.publish(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not publish here", field="channel")
        await self._require(namespace, channel)
        return namespace

    async def enter(self, principal: Principal, channel: str, presence: bool = False) -> Namespace:
        """As `readable` does; but in development who enters a room creates it."""
        namespace = self._kind(channel)
        allowed = namespace.listed and namespace.policy.subscribe(principal, channel)
        if self._creates and allowed and channel not in self._known:
            await self.create(channel, channel.partition(":")[2], principal.user)
        return await self.readable(principal, channel, presence)

    async def create(self, channel: str, title: str, user: str) -> Room | None:
        """A new room; None if it was there."""
        room = _room(channel, title, user)
        return room if await self.rooms.create(room) else None

    async def listed(self) -> Sequence[Room]:
        """All rooms, oldest first."""
        rooms = await self.rooms.rooms()
        there = {room.channel for room in rooms}
        lost = [room for _, room in self._known.values() if room.channel not in there]
        for room in lost:
            await self.rooms.create(room)
        return await self.rooms.rooms() if lost else rooms

    def _kind(self, channel: str) -> Namespace:
        namespace = self.namespaces.get(channel.partition(":")[0])
        if namespace is None:
            raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "no such namespace", field="channel")
        return namespace

    async def _require(self, namespace: Namespace, channel: str) -> None:
        """Refuse a channel that does not exist."""
        if not namespace.listed:
            return
        until, room = self._known.get(channel, (0.0, None))
        if room is None:
            room = await self.rooms.describe(channel)
            if room is None:
                raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "no such room", field="channel")
            self._remember(room)
        elif until <= self._clock():
            # Whoever comes meanwhile need not ask as well, nor anybody while the store is away.
            self._remember(room)
            with suppress(Unavailable):
                if await self.rooms.describe(channel) is None:
                    await self.rooms.create(room)

    def _remember(self, room: Room) -> None:
        if len(self._known) >= MOST_KNOWN and room.channel not in self._known:
            self._known = dict(self._lasting)
        self._known[room.channel] = self._clock() + BELIEVED_SECONDS, room


def _room(channel: str, title: str, user: str) -> Room:
    return Room(channel, title, created_at=datetime.now(UTC), created_by=user)
