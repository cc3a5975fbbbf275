"""What a database and the way to it say when they fail."""

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError


def connect(
    dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]
) -> DBAPIConnection:
    """Connect; what the network says of that is told from what a feature asks the network for."""
    try:
        return dialect.connect(*arguments, **options)
    except OSError as error:
        raise OperationalError(None, None, error) from error


def said(error: BaseException) -> str:
    """What the database said, without what it was asked: that holds what people wrote."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(cause).partition("\n")[0][:200]


def is_of_the_data(error: DBAPIError) -> bool:
    """Whether a driver that has one name for most errors means what was to be stored."""
    return str(getattr(error.orig, "sqlstate", "")).startswith(("22", "23"))


def is_of_a_table(error: DBAPIError) -> bool:
    """Whether a table is not there: a mistake, unless it was taken away, as in a file made anew."""
    return getattr(error.orig, "sqlstate", "") == "42P01" or "no such table" in str(error.orig)
