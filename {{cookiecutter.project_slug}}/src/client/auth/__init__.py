"""How this client says who it is: one module per mode, each with a `with_token`."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Auth

MODES = sorted({module.name for module in iter_modules(__path__)} - {"base"})
"""The modes there are: in a project, the one that its service has."""


def by_mode(mode: str = MODES[0]) -> "Callable[[Any], Auth]":
    """The `with_token` of a mode, for programs that are to work with any; else import it."""
    with_token: Callable[[Any], Auth] = import_module(f"{__name__}.{mode}").with_token
    return with_token
