"""By what services under test reach each other: a module per broker, in a project the chosen."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

KIND = next(module.name for module in iter_modules(__path__))
OUTLIVES = KIND != "memory"
"""Whether what the broker keeps, where nothing else keeps it, outlives the process."""


def own_broker(folder: Path) -> dict[str, str]:
    """The settings for a broker of one's own; it is the same one for the same folder."""
    settings: dict[str, str] = import_module(f"{__name__}.{KIND}").own_broker(folder)
    return settings


def needed() -> dict[str, str]:
    """What must be set for a service to start at all."""
    return own_broker(Path("needed"))
