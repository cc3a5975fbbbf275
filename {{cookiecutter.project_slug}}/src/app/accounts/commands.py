"""Looks after users from the command line: `user add` and `user password`."""

import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from getpass import getpass

from ..commands import Commands, Parsers
from ..history.sql import SqlHistory
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from .names import user_name
from .passwords import LONGEST, SHORTEST, Passwords
from .users import Users

Open = Callable[[], AbstractAsyncContextManager[SqlHistory]]


def commands(open_history: Open) -> Commands:
    """The commands for the users in the database of this history."""
    return (partial(_user, open_history),)


def _user(open_history: Open, parsers: Parsers) -> None:
    about = "add a user, or give one another password"
    parser = parsers.add_parser("user", help=about, description=about)
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    how = "the password is asked for, or is the first line of standard input"
    adding = actions.add_parser("add", help="add a user", description=f"add a user: {how}")
    adding.add_argument("name")
    again = "may be said again: publish, admin"
    adding.add_argument("--scope", action="append", default=[], help=again)
    adding.set_defaults(prepare=_ask, run=partial(_add, open_history))
    other = "give a user another password, and sign the user out everywhere"
    changing = actions.add_parser("password", help=other, description=f"{other}: {how}")
    changing.add_argument("name")
    changing.set_defaults(prepare=_ask, run=partial(_change, open_history))


async def _add(open_history: Open, given: Namespace) -> None:
    name, scopes = user_name(given.name), sorted(set(" ".join(given.scope).split()))
    async with _users(open_history) as users:
        await users.add(name, await Passwords().hash(given.password), " ".join(scopes))
    sys.stdout.write(f"There is a user {name} now, who may: {', '.join(scopes) or 'take part'}.\n")


async def _change(open_history: Open, given: Namespace) -> None:
    name = user_name(given.name)
    async with _users(open_history) as users:
        if not await users.change_password(name, await Passwords().hash(given.password)):
            raise CommandError(ErrorCode.INVALID_MESSAGE, f"there is no user {name}")
    sys.stdout.write(f"{name} has another password, and has to sign in again.\n")


@asynccontextmanager
async def _users(open_history: Open) -> AsyncIterator[Users]:
    async with open_history() as history:
        if history.database.reachable and not history.database.migrated:
            raise Unavailable("the database is not up to date: run python -m app migrate")
        yield Users(history.database)


def _ask(given: Namespace) -> None:
    given.password = _password()


def _password() -> str:
    """What somebody types, unseen and twice; or what a program gives."""
    if sys.stdin.isatty():
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise CommandError(ErrorCode.INVALID_MESSAGE, "the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(password) <= LONGEST:
        wanted = f"a password has {SHORTEST} to {LONGEST} characters"
        raise CommandError(ErrorCode.INVALID_MESSAGE, wanted)
    return password
