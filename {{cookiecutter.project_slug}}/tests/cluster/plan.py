"""How much is done in a play, what happens meanwhile, and how the nodes are set up for it."""

from dataclasses import dataclass
from math import inf
from typing import Any

CHANNELS = 20


@dataclass(frozen=True)
class Play:
    """So many messages, and what is to disturb them."""

    messages: int
    publishers: int = 40
    """How many publish at once."""
    subscribers: int = 8
    crashes: int = 0
    """How often a node is killed."""
    outages: int = 0
    """How often Redis is killed."""
    deploys: int = 0
    """How often all nodes are restarted, one after another."""
    cuts: float = 1.0
    """Seconds between two cuts of a subscriber's connection, on the average."""
    severs: int = 0
    """How often no node hears the others for a moment."""
    deaf: float = inf
    """Seconds between two cuts of what nodes hear the others on."""
    late: float = 8.0
    """Seconds after which what was not heard is taken not to come: sweeps are more frequent."""
    seconds: float = 100.0
    """How long it may take."""


def channels(name: str) -> list[str]:
    """What the play of this name uses."""
    return [f"chat:{name}-{number}" for number in range(CHANNELS)]


def haste(*names: str) -> dict[str, Any]:
    """Settings of nodes for plays of these names: many clients, short drains, nothing pruned."""
    rooms = ",".join(channel.partition(":")[2] for name in names for channel in channels(name))
    return {
        "APP_CONNECTIONS_PER_ADDRESS": "100000",
        "APP_CONNECTIONS_PER_USER": "100000",
        "APP_DRAIN_SECONDS": "0.3",
        "APP_GRACE_SECONDS": "3",
        "APP_HISTORY_LENGTH": "1000000",
        "APP_ROOMS": rooms,
        "APP_SWEEP_SECONDS": "1",
    }
