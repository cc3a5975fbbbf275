"""What all sessions of this process share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from ..auth.base import Authenticator
from ..auth.revocation import Revocations
from ..settings import Limits
from .gate import Gate
from .hub import Hub
from .namespaces import Directory
from .wheel import Wheel


@dataclass(frozen=True, slots=True)
class Node:
    """One running process of the service."""

    hub: Hub
    directory: Directory
    authenticator: Authenticator
    revocations: Revocations
    wheel: Wheel
    limits: Limits
    gate: Gate
    id: str = field(default_factory=lambda: token_hex(4))
    overrides: Callable[[], Mapping[Callable[..., Any], Callable[..., Any]]] = dict
    """The dependencies that tests replaced, as they are now."""
