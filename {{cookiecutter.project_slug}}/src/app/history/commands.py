"""Looks after the database: `migrate`, `migration` and `rotate-epochs`."""

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError

from ..commands import Commands, Parsers
from ..database.base import Database
from ..database.failures import said
from ..database.migration import downgrade, head, is_installed, revision, write
from ..database.models import Channel
from ..protocol.errors import CommandError, ErrorCode
from .batch import new_epoch

Open = Callable[[float], AbstractAsyncContextManager[Database]]

PATIENCE = 86_400.0
"""Seconds that a change of large tables may take."""
ROTATED_AT_ONCE = 500
"""How many channels are locked together."""

_NAMES = select(Channel.name).order_by(Channel.name)


def commands(open_database: Open) -> Commands:
    """The commands of a history in this database."""
    return tuple(partial(add, open_database) for add in (_migrate, _migration, _rotate_epochs))


def _migrate(open_database: Open, parsers: Parsers) -> None:
    about = "bring the database up to date, or to another revision"
    parser = parsers.add_parser("migrate", help=about, description=about)
    parser.add_argument("--to", default="head", help="a revision; the default is the newest")
    parser.add_argument("--down", action="store_true", help="go back: --down --to base empties it")

    async def run(given: Namespace) -> None:
        if given.down and given.to == "head":
            parser.error("--down needs --to: the revision to go back to, or base")
        async with open_database(PATIENCE) as database:
            with _explained():
                if given.down:
                    await database.change(lambda c: downgrade(c, given.to))
                else:
                    await database.upgrade(given.to)
            here = await database.run(revision)
            sys.stdout.write(f"The database is at revision {here}; the newest is {head()}.\n")

    parser.set_defaults(run=run)


def _migration(open_database: Open, parsers: Parsers) -> None:
    about = "write a migration with what the models have and the database does not"
    parser = parsers.add_parser("migration", help=about, description=about)
    parser.add_argument("message", type=_few_words, help="what it does, in a few words")

    async def run(given: Namespace) -> None:
        if is_installed():
            installed = "this code is installed: write migrations where its source is"
            raise CommandError(ErrorCode.UNSUPPORTED, installed)
        async with open_database(PATIENCE) as database:
            with _explained():
                await database.upgrade()
                path = await database.run(lambda c: write(c, given.message))
            sys.stdout.write(f"Wrote {path}; look through it, then run python -m app migrate.\n")

    parser.set_defaults(run=run)


def _rotate_epochs(open_database: Open, parsers: Parsers) -> None:
    about = "begin a new epoch in every channel, after a failover or a restored backup"
    parser = parsers.add_parser("rotate-epochs", help=about, description=about)

    async def run(given: Namespace) -> None:
        async with open_database(PATIENCE) as database:
            epoch, count = new_epoch(), 0
            names = await database.run(lambda c: c.execute(_NAMES).scalars().all())
            for start in range(0, len(names), ROTATED_AT_ONCE):
                change = partial(_rotate, names[start : start + ROTATED_AT_ONCE], epoch)
                count += await database.run(change, writes=True)
            told = "clients are told when their nodes look next"
            sys.stdout.write(f"Channels with a new epoch: {count}; {told}.\n")

    parser.set_defaults(run=run)


@contextmanager
def _explained() -> Iterator[None]:
    """Say in a sentence what is wrong with the migrations."""
    from alembic.util import CommandError as MigrationError

    try:
        yield
    except MigrationError as error:
        nowhere = "no file of migrations/versions has it; a database that has been there needs it"
        wrong = f"{error}: {nowhere}" if "locate" in str(error) else str(error)
        raise CommandError(ErrorCode.INVALID_MESSAGE, f"{wrong}.") from None
    except DBAPIError as error:
        wrong = f"a migration is wrong, nothing was changed: {said(error)}"
        raise CommandError(ErrorCode.INVALID_MESSAGE, wrong) from None


def _rotate(names: Sequence[str], epoch: str, connection: Connection) -> int:
    """Give channels an epoch, locked in the order in which every append locks them."""
    here = Channel.name.in_(names)
    connection.execute(_NAMES.where(here).with_for_update()).all()
    return connection.execute(update(Channel).where(here).values(epoch=epoch)).rowcount


def _few_words(text: str) -> str:
    """A message that makes the name of a file and the first line of its docstring."""
    if not re.fullmatch(r"\w[^\"\\\n]{0,79}", words := text.strip().rstrip(".")):
        raise ArgumentTypeError("say what it does in a few words, without quotes")
    return words[0].upper() + words[1:]
