"""Who may do what in a namespace: rules that a principal meets or does not. Your first edit."""

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
    """Also read its history and see who is there."""
    publish: Rule = everyone
    """Also send signals, once subscribed."""
    presence: Rule = everyone
    """See who is there, of those who may subscribe."""
