"""What can go wrong: a command is refused, a subscription ends, a connection or the client ends."""

FINAL = frozenset({1002, 1003, *range(1007, 1011), *range(4500, 5000)})
"""Close codes after which a client does not come back."""

PASSING = frozenset({408, 425, 429})
"""HTTP refusals of a connection, below 500, that may be otherwise later."""


class ClientError(Exception):
    """Whatever this package raises of its own."""


class CommandRefused(ClientError):
    """The server answered a command with an error; `retry_after` is in seconds."""

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class Unsubscribed(ClientError):
    """The server ended a subscription."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"{channel}: {reason}")
        self.channel = channel
        self.reason = reason


class Closed(ClientError):
    """The client has ended: by a close code or HTTP status after which it does not come back.

    The code is 1000 where the program itself left the client.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class ConnectionLost(Exception):
    """One connection has ended, or did not come about; it stays inside this package.

    `code` is a close code or an HTTP status, `retry_after` in seconds.
    """

    def __init__(self, code: int, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether another try may succeed, as it stands."""
        return not self.final

    @property
    def final(self) -> bool:
        """Whether another connection would end in the same way."""
        if self.code < 1000:
            return self.code < 500 and self.code not in PASSING
        return self.code in FINAL
