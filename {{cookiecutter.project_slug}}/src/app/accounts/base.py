"""The contract of accounts: what outlives this process of who may be let in."""

from dataclasses import dataclass

from ..auth.revocation import Record


@dataclass(frozen=True)
class Offer:
    """How people who have no token get in."""

    registration: bool
    """Whether they may create an account."""
    made_up: bool
    """Whether the demo page does so by itself, for who has not said a name."""


@dataclass(frozen=True)
class Accounts:
    """What accounts tell the rest of the service; their routes are beside them."""

    record: Record | None = None
    """Since when the tokens of a user are good, where that is kept."""
    offer: Offer | None = None
    """How people get in by a password of theirs, where they do."""
