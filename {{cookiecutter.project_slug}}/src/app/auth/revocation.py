"""Takes back what proves somebody: a deny-list that all nodes read, and word to each of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog
from pydantic import TypeAdapter

from ..broker.base import Broker, Kind, Packet
from ..coordination.base import Coordination
from ..protocol.errors import CloseCode, Disconnect, Unavailable
from .base import LEEWAY, Principal

log = structlog.stdlib.get_logger(__name__)

CONTROL = "control"
"""What every node follows; it is no name of a channel, so nobody else can."""

LONGEST_SECONDS = 30 * 86_400
"""No credential that is accepted is good for longer; that bounds how long a revocation is kept."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which connections end: those of a token, of a user, or one."""

    token_id: str | None = None
    user: str | None = None
    issued_until: datetime | None = None
    """Of a user, those whose credential was issued until then."""
    session: str | None = None

    def hits(self, session: str, principal: Principal) -> bool:
        """Whether this connection is meant."""
        if self.user is not None:
            return self.user == principal.user and issued_until(principal, self.issued_until)
        if self.token_id is not None:
            return self.token_id == principal.token_id
        return self.session == session


_ORDER = TypeAdapter(Order)


class Record(Protocol):
    """Keeps what was revoked over a restart; each method raises Unavailable in bounded time."""

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """For each principal whether what proved it was revoked, in one question."""
        ...

    async def revoke_token(self, principal: Principal) -> Sequence[Principal]:
        """Revoke what proved this principal, and what renews it: gives whom else that proved."""
        ...

    async def revoke_user(self, user: str) -> datetime | None:
        """Revoke all that was issued to a user until the moment that this gives.

        None of who is not on record, and whose tokens the deny-list has to refuse.
        """
        ...


@dataclass(frozen=True, slots=True)
class Revocations:
    """Who is no longer let in. A session becomes known first and is checked then: none slips by."""

    coordination: Coordination
    broker: Broker
    record: Record | None = None
    """What a restart does not forget."""

    async def check(self, principal: Principal) -> None:
        """Raise Disconnect if what proved this principal has been revoked, or Unavailable."""
        for ask in (self.revoked, self.on_record):
            if any(await ask([principal])):
                raise Disconnect(CloseCode.REVOKED)

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """For each principal whether what proved it has been revoked, in one question to all."""
        keys = [(_user(each.user), _token(each.token_id or "")) for each in principals]
        said = iter(await self.coordination.get([key for pair in keys for key in pair]))
        answers = zip(principals, said, said, strict=True)
        return [
            token is not None or (user is not None and issued_until(each, _moment(user)))
            for each, user, token in answers
        ]

    async def on_record(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """The same of what is on record, which processes share that share nothing else."""
        if self.record is None or all(each.token_id is None for each in principals):
            return [False] * len(principals)
        return await self.record.revoked(principals)

    async def revoke_token(self, principal: Principal) -> None:
        """Refuse the credential that proved this principal, and end its connections.

        So it goes for those that came of the same sign-in, where that is on record.
        """
        others = () if self.record is None else await self.record.revoke_token(principal)
        await self.deny((principal, *others))

    async def deny(self, principals: Iterable[Principal]) -> None:
        """Refuse the credentials that proved these, and end their connections."""
        for each in principals:
            if each.token_id is not None and each.expires_at is not None:
                left = (each.expires_at - datetime.now(UTC)).total_seconds()
                # By the clock of another node it has not expired yet.
                await self.coordination.put(_token(each.token_id), "", max(left, 0) + LEEWAY)
                log.info("token revoked", user=each.user)
                await self._tell_all(Order(token_id=each.token_id))

    async def revoke_user(self, user: str) -> None:
        """Refuse all that was issued to a user until now, and end the user's connections."""
        recorded = None if self.record is None else await self.record.revoke_user(user)
        moment = recorded or datetime.now(UTC)
        if recorded is None:
            kept = LONGEST_SECONDS + 2 * LEEWAY  # for the clock that signed, and another node's
            await self.coordination.put(_user(user), moment.isoformat(), kept)
        log.info("user revoked", user=user)
        await self._tell_all(Order(user=user, issued_until=moment))

    async def end(self, session: str) -> None:
        """End one connection, wherever it is; what proved its user remains good."""
        await self.broker.publish([_packet(Order(session=session))])

    async def _tell_all(self, order: Order) -> None:
        try:
            await self.broker.publish([_packet(order)])
        except Unavailable:
            log.warning("nodes were not told of a revocation: each finds it when it looks")


def read_order(packet: Packet) -> Order:
    """What a node was told."""
    return _ORDER.validate_json(packet.body)


def _packet(order: Order) -> Packet:
    return Packet(Kind.CONTROL, CONTROL, _ORDER.dump_json(order))


def issued_until(principal: Principal, moment: datetime | None) -> bool:
    """Whether the credential was there at that moment; where nobody knows, it was."""
    return moment is None or principal.issued_at is None or principal.issued_at <= moment


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _user(user: str) -> str:
    return f"revoked:user:{user}"


def _token(token_id: str) -> str:
    return f"revoked:token:{token_id}"
