"""Whether a node hears what it says to itself."""

import math
from time import monotonic

BEAT_SECONDS = 0.5
"""How often it says something."""
DEAF_SECONDS = 3.0
"""For how long it may not have heard that."""


class Hearing:
    """Tells a node that does not hear itself from one that cannot speak."""

    def __init__(self) -> None:
        self._heard_at = monotonic()
        self._unheard_since = math.inf
        """When it said what it should have heard by now."""
        self._patience = DEAF_SECONDS

    @property
    def is_deaf(self) -> bool:
        """Whether nothing was heard for too long."""
        return monotonic() - self._unheard_since > DEAF_SECONDS

    def said(self, at: float) -> None:
        """Note that something was said then, and taken."""
        if self._heard_at < at:
            self._unheard_since = min(self._unheard_since, at)

    def heard(self) -> None:
        """Note that it came back."""
        self._heard_at, self._unheard_since = monotonic(), math.inf
        self._patience = DEAF_SECONDS

    def cut_off(self) -> None:
        """Note that nothing can be said: the connection to hear by is probably lost as well."""
        self._unheard_since, self._patience = math.inf, 2 * BEAT_SECONDS

    def doubts(self, since: float) -> bool:
        """Whether a connection that is there since then should have heard something."""
        return monotonic() - max(self._unheard_since, since) > self._patience
