"""The service, which does not hear that what has a key of a certain kind was committed."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from app.__main__ import run
from app.database.base import Database
from app.history.batch import Batch
from app.protocol.errors import Unavailable

real_run: Callable[..., Any] = Database.run


async def run_deafly(
    database: Database, work: Callable[[Connection], Any], *, writes: bool = False
) -> Any:
    """A call to the database whose answer may be lost after the commit."""
    result = await real_run(database, work, writes=writes)
    batch = getattr(work, "__self__", None)
    if isinstance(batch, Batch):
        for draft, outcome in zip(batch.drafts, result, strict=True):
            if (draft.key or "").startswith("lost") and not outcome.duplicate:
                raise Unavailable
    return result


Database.run = run_deafly  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    run([])
