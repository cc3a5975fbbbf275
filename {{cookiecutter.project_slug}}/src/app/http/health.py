"""Alive, ready, and how the service is doing."""

from time import monotonic
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from .. import __version__
from ..broker.base import Health as BrokerHealth
from ..features.base import CurrentNode
from ..history.base import Health as HistoryHealth

router = APIRouter(tags=["health"])

_STARTED = monotonic()


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether this node should get traffic, and if not, why."""

    status: Literal["ready", "degraded", "unready"]
    reasons: list[str]


class Health(Readiness):
    """How the service is doing."""

    node: str
    connections: int
    uptime_seconds: int
    version: str


@router.get("/livez")
async def livez() -> Alive:
    """The process is alive; restart it if this does not answer."""
    return Alive()


@router.get("/readyz")
async def readyz(node: CurrentNode, response: Response) -> Readiness:
    """503 while this node should get no traffic.

    An outage of a dependency is `degraded` with 200: it must not take every node out of service.
    """
    readiness = _readiness(node)
    if readiness.status == "unready":
        response.status_code = 503
    return readiness


@router.get("/health")
async def health(node: CurrentNode) -> Health:
    """Connections, uptime and version, for people."""
    readiness = _readiness(node)
    return Health(
        status=readiness.status,
        reasons=readiness.reasons,
        node=node.id,
        connections=len(node.hub.sessions),
        uptime_seconds=int(monotonic() - _STARTED),
        version=__version__,
    )


def _readiness(node: CurrentNode) -> Readiness:
    """Leaving, deaf or broken is unready; cut off is degraded."""
    broker, history = node.hub.broker.health, node.hub.history.health
    broken = [
        f"{task} failed and is being restarted" for task in sorted(node.hub.background.failing)
    ]
    if node.gate.closed:
        broken.append("this node is leaving, and its clients move to others")
    if broker is BrokerHealth.DEAF:
        broken.append("the broker does not deliver what this node sends")
    if history is HistoryHealth.OUTDATED:
        broken.append("history is not up to date: run python -m app migrate")
    if broken:
        return Readiness(status="unready", reasons=broken)
    away = []
    if broker is BrokerHealth.DOWN:
        away.append("the broker cannot be reached")
    if history is HistoryHealth.DOWN:
        away.append("history cannot be reached")
    return Readiness(status="degraded" if away else "ready", reasons=away)
