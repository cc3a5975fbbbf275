"""How this service's connections show a token: one module per mode, in a project the chosen one."""

from importlib import import_module
from pkgutil import iter_modules

from .base import Door

MODES = sorted({module.name for module in iter_modules(__path__)} - {"base"})
GUESTS = MODES == ["none"]
"""Whether everybody is a guest, and no token is any good."""


def open_door() -> Door:
    """The door of this service."""
    door: Door = import_module(f"{__name__}.{MODES[0]}").door
    return door
