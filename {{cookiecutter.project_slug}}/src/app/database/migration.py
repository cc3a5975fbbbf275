"""Brings the tables from one revision to another; each is a file in `migrations/versions`."""

import logging
import re
from ast import literal_eval
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script

# Alembic takes 10 MB and 0.1 s to import: the functions that need it do so, since most processes
# find nothing to change.

# It would say in every log what it is made of.
logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)

FOLDER = Path(__file__).with_name("migrations")

_NAMES = re.compile(r"^(revision|down_revision)\b[^=]*=\s*(.+?)\s*$", re.MULTILINE)


def configuration(connection: Connection) -> "Config":
    """What Alembic is told, here instead of in a file."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


def head() -> str:
    """The newest revision there is a file of: no other goes on from it."""
    newest, *others = _newest()
    if others:
        raise ValueError(complaint())
    return newest


def complaint() -> str | None:
    """What is wrong with the files, if anything is: of revisions there is one line."""
    heads = " and ".join(_newest())
    if heads in _known():
        return None
    return f"the migrations {heads} are both the newest: in one, set down_revision to the other"


def _newest() -> list[str]:
    followed = {each for before in _known().values() for each in before}
    return [revision for revision in _known() if revision not in followed]


def is_behind(here: str | None) -> bool:
    """Whether this code has left a revision behind; not so one that it does not know."""
    return here is None or (here != head() and here in _known())


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """Every revision there is a file of, and what it goes on from."""
    known = {}
    for path in sorted((FOLDER / "versions").glob("*.py")):
        said = {name: literal_eval(value) for name, value in _NAMES.findall(path.read_text())}
        before = said["down_revision"] or ()
        known[said["revision"]] = (before,) if isinstance(before, str) else before
    return known


def revision(connection: Connection) -> str | None:
    """The revision that the tables have; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the tables up to a revision."""
    from alembic import command

    command.upgrade(configuration(connection), to)


def downgrade(connection: Connection, to: str) -> None:
    """Bring the tables back to a revision; `base` is before the first."""
    from alembic import command

    command.downgrade(configuration(connection), to)


def touch(connection: Connection) -> None:
    """Write something that changes nothing; fails where nothing can be written."""
    connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def write(connection: Connection, message: str) -> str:
    """Write a revision with what the models have and the tables do not; gives where it is."""
    from alembic import command

    script = command.revision(configuration(connection), message, autogenerate=True)
    return cast("Script", script).path


def is_installed() -> bool:
    """Whether this is a copy that an installer made, which nobody keeps changes of."""
    return "site-packages" in FOLDER.parts
