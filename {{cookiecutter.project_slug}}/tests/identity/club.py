"""The service with more features, whose doors can close or are slow to open: a program."""

import asyncio

from fastapi import APIRouter

from app import adapters
from app.__main__ import run
from app.auth.base import Principal
from app.auth.policy import Policy, scope
from app.features.base import Feature
from app.protocol.commands import Json
from app.realtime.namespaces import Namespace

banned: set[str] = set()
"""Users who are members no more."""


def member(principal: Principal, channel: str) -> bool:
    """Everybody who was not thrown out."""
    return principal.user not in banned


router = APIRouter()


@router.put("/banned/{user}", status_code=204)
async def ban(user: str) -> None:
    """Throw somebody out."""
    banned.add(user)


waits, opened = asyncio.Event(), asyncio.Event()


async def gate() -> None:
    """Keep who publishes waiting until the gate is opened."""
    waits.set()
    await opened.wait()


@router.get("/gate", status_code=204)
async def until_somebody_waits() -> None:
    """Answer once somebody does."""
    await waits.wait()


@router.put("/gate", status_code=204)
async def open_gate() -> None:
    """Let everybody through."""
    opened.set()


club = Policy(subscribe=member, publish=member)
staff = Policy(subscribe=scope("staff"), publish=scope("staff"))
adapters.FEATURES = (  # type: ignore[assignment]
    *adapters.FEATURES,
    Feature(Namespace("club", payload=Json, durable=True, presence=True, policy=club), router),
    Feature(Namespace("staff", payload=Json, durable=True, presence=True, policy=staff)),
    Feature(Namespace("gated", payload=Json, durable=True), on_publish=gate),
)

if __name__ == "__main__":
    run()
