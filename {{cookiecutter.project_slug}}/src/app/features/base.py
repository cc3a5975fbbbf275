"""What a feature is made of, and what its routes may ask for."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from ..realtime.namespaces import Namespace
from ..realtime.node import Node


@dataclass(frozen=True)
class Feature:
    """A kind of channels, and the routes that belong to it."""

    namespace: Namespace
    router: APIRouter | None = None


async def current_node(request: Request) -> Node:
    """The running process."""
    node: Node = request.state.node
    return node


CurrentNode = Annotated[Node, Depends(current_node)]
