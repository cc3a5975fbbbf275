"""What can go wrong on the wire: error codes answer a command, close codes end a connection."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """Why a command was refused; the value is what clients match on."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN_CHANNEL = "unknown_channel"
    NOT_SUBSCRIBED = "not_subscribed"
    ALREADY_SUBSCRIBED = "already_subscribed"
    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    LIMIT_EXCEEDED = "limit_exceeded"
    UNRECOVERABLE = "unrecoverable"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"

    @property
    def retryable(self) -> bool:
        """Whether the same command may succeed later, unchanged."""
        again = "rate_limited", "overloaded", "unavailable", "timeout", "internal"
        return self.value in again


class CloseCode(IntEnum):
    """Why the server ended a connection: 4000-4499 come back, 4500-4999 do not."""

    DRAIN = 4000
    SLOW_CONSUMER = 4001
    HEARTBEAT_TIMED_OUT = 4002
    INTERNAL_ERROR = 4004
    CREDENTIAL_EXPIRED = 4100
    TICKET_SPENT = 4101
    RATE_LIMITED = 4200
    TOO_MANY_CONNECTIONS = 4202
    UNAUTHENTICATED = 4500
    AUTHENTICATION_TIMED_OUT = 4501
    PROTOCOL_ERROR = 4502
    UNSUPPORTED_VERSION = 4503
    REVOKED = 4504
    REPLACED = 4505
    TOO_MANY_ERRORS = 4507
    FORBIDDEN = 4508

    @property
    def reason(self) -> str:
        """The sentence sent with the code: the name in words, far below the 123 bytes allowed."""
        return self.name.lower().replace("_", " ")


@dataclass(eq=False)
class CommandError(Exception):
    """A command that is refused; the connection stays, and the client gets an `error`.

    `field` names the part of the command that is wrong, `retry_after` is in seconds.
    """

    code: ErrorCode
    message: str
    field: str | None = None
    retry_after: float | None = None


class Unavailable(CommandError):
    """A store or broker that cannot be reached now; every adapter raises it in bounded time."""

    def __init__(self, message: str = "the service cannot reach its storage, try again") -> None:
        super().__init__(ErrorCode.UNAVAILABLE, message)


@dataclass(eq=False)
class Disconnect(Exception):
    """The end of a connection, with the close code that tells the client what to do next."""

    code: CloseCode
    reason: str = ""

    def __post_init__(self) -> None:
        self.reason = self.reason or self.code.reason
