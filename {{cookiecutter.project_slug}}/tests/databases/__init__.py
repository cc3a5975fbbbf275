"""Where services under test keep things: a module per database, in a project the chosen one."""

import os
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

KINDS = sorted(module.name for module in iter_modules(__path__))
OUTLIVES = bool(KINDS)
"""Whether what was said outlives the process."""


def needed() -> dict[str, str]:
    """What must be set for a service to start at all: a database that nothing is kept in."""
    names = import_module(f"{__name__}.{KINDS[0]}").NEEDED if KINDS else ()
    return {name: os.environ[name] for name in names}


def own_database(folder: Path, *, migrated: bool = True) -> dict[str, str]:
    """The settings for a database of one's own; it is the same one for the same folder."""
    if not KINDS:
        return {}
    database = import_module(f"{__name__}.{KINDS[0]}")
    settings: dict[str, str] = database.own_database(folder, migrated=migrated)
    return settings


async def activity(folder: Path) -> list[str]:
    """What the connections to the folder's database are at: `idle`, unless in a transaction."""
    found: list[str] = await import_module(f"{__name__}.{KINDS[0]}").activity(folder)
    return found


def nowhere(folder: Path) -> dict[str, str]:
    """The settings for a database that cannot be reached, with a canary where there are secrets."""
    settings: dict[str, str] = import_module(f"{__name__}.{KINDS[0]}").nowhere(folder)
    return settings
