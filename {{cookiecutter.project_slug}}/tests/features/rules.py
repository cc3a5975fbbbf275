"""The service with one more feature, whose hooks have dependencies: an application to be served."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from app import adapters
from app.auth.dependencies import CurrentPrincipal
from app.features.base import CurrentNode, Feature
from app.protocol.errors import CommandError, ErrorCode
from app.realtime.hooks import Operation
from app.realtime.namespaces import Namespace


class Line(BaseModel):
    """What is published to `rules:`."""

    text: str


async def closed_channels() -> AsyncIterator[set[str]]:
    """What a store would know."""
    yield {"rules:closed"}


def motto() -> str:
    """What the service replaces."""
    return "as it was declared"


async def on_subscribe(
    operation: Operation, closed: Annotated[set[str], Depends(closed_channels)]
) -> None:
    """Let nobody into what is closed."""
    if operation.channel in closed:
        raise CommandError(ErrorCode.FORBIDDEN, "this is closed", field="channel")


async def on_publish(
    line: Line,
    principal: CurrentPrincipal,
    node: CurrentNode,
    motto: Annotated[str, Depends(motto)],
) -> Line | None:
    """Refuse, fail, or say something else, as the text wants it."""
    match line.text:
        case "refuse":
            raise CommandError(ErrorCode.FORBIDDEN, "this is not said here", field="data.text")
        case "fail":
            raise KeyError("planted")
        case "tell":
            return Line(text=f"{principal.user} {node.id} {motto}")
    return None


router = APIRouter()


@router.delete("/overrides")
async def forget_overrides(request: Request) -> None:
    """Do what tests do when they are done."""
    request.app.dependency_overrides = {}


feature = Feature(
    Namespace("rules", payload=Line, durable=True, presence=True),
    router,
    on_subscribe=on_subscribe,
    on_publish=on_publish,
)
adapters.FEATURES = (*adapters.FEATURES, feature)  # type: ignore[assignment]

from app.main import app  # noqa: E402 - it reads the features

app.dependency_overrides[motto] = lambda: "as it was overridden"
