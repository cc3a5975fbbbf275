"""Who may do what in which kind of channel: your first edit.

A rule is asked at every subscription, publication and look at who is there; one that changes its
mind ends live subscriptions, at the latest after `APP_SWEEP_SECONDS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol.channels import personal_channel
from .base import Principal

Rule = Callable[[Principal, str], bool]
"""Whether this principal may, in this channel."""


def everyone(principal: Principal, channel: str) -> bool:
    """Whoever is connected, guests too."""
    return True


def owner(principal: Principal, channel: str) -> bool:
    """The user whose personal channel it is."""
    return channel == personal_channel(principal.user)


def scope(name: str) -> Rule:
    """Principals whose token carries this scope, and servers that know the API key."""
    return lambda principal, channel: name in principal.scopes


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed in the channels of a namespace."""

    subscribe: Rule = everyone
    """Also read its history."""
    publish: Rule = everyone
    """Also send signals, once subscribed."""
    presence: Rule = everyone
    """See who is there, of those who may subscribe."""


CHAT = Policy()
ECHO = Policy()
PERSONAL = Policy(subscribe=owner, publish=scope("publish"), presence=owner)
"""`publish` is a scope of a token, which servers that know the API key have, too."""
