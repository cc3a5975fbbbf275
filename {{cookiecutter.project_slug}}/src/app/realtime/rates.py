"""How often one connection may ask for something, and how often in vain."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from ..budget import use_one
from ..protocol.commands import AnyCommand, Subscribe
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from ..settings import Limits


@dataclass(eq=False, slots=True)
class Allowance:
    """What one connection may still do. Each budget is kept as the time at which it is full again.

    Subscriptions have a budget of their own: after a reconnection they come all at once.
    """

    limits: Limits
    clock: Callable[[], float] = monotonic
    _commands: float = 0.0
    _subscribes: float = 0.0
    _errors: float = 0.0

    def spend(self, command: AnyCommand) -> None:
        """Use up one command; raise CommandError, and count that, if there is none left."""
        limits, now = self.limits, self.clock()
        rate = limits.commands_per_second
        if isinstance(command, Subscribe):
            # Who may have so many channels may come back to all of them.
            burst = max(limits.subscribes_burst, limits.channels_per_connection)
            wait, self._subscribes = use_one(self._subscribes, now, rate, burst)
        else:
            wait, self._commands = use_one(self._commands, now, rate, limits.commands_burst)
        if wait:
            self._count(CloseCode.RATE_LIMITED)
            raise CommandError(ErrorCode.RATE_LIMITED, "too many commands", retry_after=wait)

    def blame(self, error: CommandError) -> None:
        """Count what the client did wrong, which is what cannot succeed later, unchanged."""
        if not error.code.retryable:
            self._count(CloseCode.TOO_MANY_ERRORS)

    def _count(self, code: CloseCode) -> None:
        """Raise Disconnect once there was too much of it within a minute."""
        most = self.limits.max_errors
        wait, self._errors = use_one(self._errors, self.clock(), most / 60, most)
        if wait:
            raise Disconnect(code)
