"""Kinds of channels, and the directory of those that exist."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..auth.base import SERVER, Principal
from ..auth.policy import Policy
from ..history.base import Room, Rooms
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from .hooks import Hook

RETRY_SECONDS = 1.0
MOST_KNOWN = 10_000
"""How many rooms are remembered to exist."""


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


class Directory:
    """Knows which channels exist, of what kind each is, and who may do what there."""

    def __init__(self, namespaces: Iterable[Namespace], rooms: Rooms, *, creates: bool) -> None:
        self.namespaces = {namespace.name: namespace for namespace in namespaces}
        self.rooms = rooms
        self._creates = creates
        self._known: set[str] = set()
        """Rooms that were seen to exist; none ever ceases to, so nobody need ask again."""

    async def readable(self, principal: Principal, channel: str) -> Namespace:
        """The namespace of a channel that exists and that the principal may read."""
        namespace = self._kind(channel)
        if not namespace.policy.subscribe(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not read this", field="channel")
        return await self._existing(namespace, channel)

    async def visible(self, principal: Principal, channel: str) -> Namespace:
        """The same, where the principal may also see who is there."""
        namespace = await self.readable(principal, channel)
        if not namespace.policy.presence(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not see who is here", field="presence")
        return namespace

    async def writable(self, principal: Principal, channel: str) -> Namespace:
        """The namespace of a channel that exists and that the principal may publish to."""
        namespace = self._kind(channel)
        if not namespace.policy.publish(principal, channel):
            raise CommandError(ErrorCode.FORBIDDEN, "you may not publish here", field="channel")
        return await self._existing(namespace, channel)

    async def enter(self, principal: Principal, channel: str, presence: bool = False) -> Namespace:
        """As `readable` or `visible` do; but in development who enters a room creates it."""
        namespace = self._kind(channel)
        allowed = namespace.listed and namespace.policy.subscribe(principal, channel)
        if self._creates and allowed and channel not in self._known:
            await self.create(channel, channel.partition(":")[2], principal.user)
        return await (self.visible if presence else self.readable)(principal, channel)

    async def create(self, channel: str, title: str, user: str) -> Room | None:
        """A new room; None if it was there."""
        room = Room(channel, title, created_at=datetime.now(UTC), created_by=user)
        return room if await self.rooms.create(room) else None

    async def settle(self, channels: Collection[str]) -> bool:
        """Create the rooms that are there from the start; False if that has to be tried again."""
        try:
            for channel in channels:
                await self.create(channel, channel.partition(":")[2].capitalize(), SERVER.user)
        except Unavailable:
            return False
        return True

    async def settled(self, channels: Collection[str]) -> None:
        """The same, as soon as it is possible."""
        while not await self.settle(channels):
            await asyncio.sleep(RETRY_SECONDS)

    def _kind(self, channel: str) -> Namespace:
        namespace = self.namespaces.get(channel.partition(":")[0])
        if namespace is None:
            raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "no such namespace", field="channel")
        return namespace

    async def _existing(self, namespace: Namespace, channel: str) -> Namespace:
        if namespace.listed and channel not in self._known:
            if await self.rooms.describe(channel) is None:
                raise CommandError(ErrorCode.UNKNOWN_CHANNEL, "no such room", field="channel")
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known.add(channel)
        return namespace
