"""The service with two more features, whose doors can close: a program."""

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


club = Policy(subscribe=member, publish=member)
staff = Policy(subscribe=scope("staff"), publish=scope("staff"))
adapters.FEATURES = (  # type: ignore[assignment]
    *adapters.FEATURES,
    Feature(Namespace("club", payload=Json, durable=True, presence=True, policy=club), router),
    Feature(Namespace("staff", payload=Json, durable=True, presence=True, policy=staff)),
)

if __name__ == "__main__":
    run()
