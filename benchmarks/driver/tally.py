"""Counts deliveries over all connections, and wakes who waits for the last one."""

import asyncio


class MeasurementError(Exception):
    """The run shows nothing: something was lost, repeated, refused or too slow."""


class Tally:
    """How many deliveries are still to come."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.failure: str | None = None
        self._done: asyncio.Future[None] | None = None

    def expect(self, deliveries: int) -> None:
        """From here on so many more deliveries are to come."""
        self.outstanding += deliveries

    def arrived(self, deliveries: int) -> None:
        """Some have come."""
        self.outstanding -= deliveries
        if self.outstanding <= 0:
            if self.outstanding:
                self.fail(f"{-self.outstanding} deliveries more than were published")
            elif self._done is not None and not self._done.done():
                self._done.set_result(None)

    def fail(self, why: str) -> None:
        """Give up: what was seen makes any figure worthless. The first reason counts."""
        if self.failure is None:
            self.failure = why
            if self._done is not None and not self._done.done():
                self._done.set_exception(MeasurementError(why))

    def check(self) -> None:
        """Raise what was seen so far, if it was a failure."""
        if self.failure is not None:
            raise MeasurementError(self.failure)

    async def all_arrived(self, patience: float) -> None:
        """Return with the last delivery; MeasurementError at once, or when patience is over."""
        self.check()
        if self.outstanding == 0:
            return
        self._done = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._done, patience)
        except TimeoutError:
            missing = f"{self.outstanding} deliveries are missing after {patience:g} s"
            raise MeasurementError(missing) from None
        finally:
            self._done = None
