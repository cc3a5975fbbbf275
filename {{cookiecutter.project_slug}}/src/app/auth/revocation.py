"""Takes back what proves somebody: a deny-list that all nodes read, and word to each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
            return self.user == principal.user and _issued_until(principal, self.issued_until)
        if self.token_id is not None:
            return self.token_id == principal.token_id
        return self.session == session


_ORDER = TypeAdapter(Order)


@dataclass(frozen=True, slots=True)
class Revocations:
    """Who is no longer let in. A session becomes known first and is checked then: none slips by."""

    coordination: Coordination
    broker: Broker

    async def check(self, principal: Principal) -> None:
        """Raise Disconnect if what proved this principal has been revoked, or Unavailable."""
        (revoked,) = await self.revoked([principal])
        if revoked:
            raise Disconnect(CloseCode.REVOKED)

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """For each principal whether what proved it has been revoked, in one question to all."""
        keys = [(_user(each.user), _token(each.token_id or "")) for each in principals]
        said = iter(await self.coordination.get([key for pair in keys for key in pair]))
        answers = zip(principals, said, said, strict=True)
        return [
            token is not None or (user is not None and _issued_until(each, _moment(user)))
            for each, user, token in answers
        ]

    async def revoke_token(self, principal: Principal) -> None:
        """Refuse the credential that proved this principal, and end its connections."""
        if principal.token_id is not None and principal.expires_at is not None:
            left = (principal.expires_at - datetime.now(UTC)).total_seconds()
            # By the clock of another node it has not expired yet.
            await self.coordination.put(_token(principal.token_id), "", max(left, 0) + LEEWAY)
            log.info("token revoked", user=principal.user)
            await self._tell_all(Order(token_id=principal.token_id))

    async def revoke_user(self, user: str) -> None:
        """Refuse all that was issued to a user until now, and end the user's connections."""
        now = datetime.now(UTC)
        kept = LONGEST_SECONDS + 2 * LEEWAY  # for the clock that signed, and that of another node
        await self.coordination.put(_user(user), now.isoformat(), kept)
        log.info("user revoked", user=user)
        await self._tell_all(Order(user=user, issued_until=now))

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


def _issued_until(principal: Principal, moment: datetime | None) -> bool:
    """Whether the credential was there at that moment; where nobody knows, it was."""
    return moment is None or principal.issued_at is None or principal.issued_at <= moment


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _user(user: str) -> str:
    return f"revoked:user:{user}"


def _token(token_id: str) -> str:
    return f"revoked:token:{token_id}"
