"""What a feature is made of, and what its routes and hooks may ask for."""

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from ..auth.base import Principal
from ..auth.dependencies import current_principal
from ..realtime.hooks import Operation
from ..realtime.namespaces import Namespace
from ..realtime.node import Node
from .injection import Function, Injector


async def current_node(request: Request) -> Node:
    """The running process."""
    node: Node = request.state.node
    return node


CurrentNode = Annotated[Node, Depends(current_node)]


async def _node(node: Node) -> Node:
    return node


async def _principal(principal: Principal) -> Principal:
    return principal


_GIVEN = (
    (Operation, lambda operation: operation),
    (Node, attrgetter("node")),
    (Principal, attrgetter("principal")),
)
_INSTEAD: dict[Function, Function] = {current_node: _node, current_principal: _principal}


@dataclass(frozen=True)
class Feature:
    """A kind of channels, the routes that belong to it, and functions that are asked beforehand.

    `on_subscribe` is asked before somebody subscribes, reads history or looks who is here;
    `on_publish`, which may also take the payload, by its type, before a message is published, and
    what it returns is published instead, unless it is None. Both are asked after the policy and
    refuse by a CommandError; a signal is a matter of the policy alone.
    """

    namespace: Namespace
    router: APIRouter | None = None
    on_subscribe: Function | None = None
    on_publish: Function | None = None

    def __post_init__(self) -> None:
        payload = (self.namespace.payload, attrgetter("data"))
        reading, publishing = Injector(_GIVEN, _INSTEAD), Injector((payload, *_GIVEN), _INSTEAD)
        namespace = replace(
            self.namespace,
            on_subscribe=self.on_subscribe and reading.inject(self.on_subscribe),
            on_publish=self.on_publish and publishing.inject(self.on_publish),
        )
        object.__setattr__(self, "namespace", namespace)
