"""Runs revisions on the connection that `database/migration.py` hands over."""

from typing import Any, Literal

from alembic import context

from app.database.models import Base, Moment


def plain(kind: str, item: Any, _: object) -> str | Literal[False]:
    """How a revision names our own type: as what it is in a table."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Moment) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_item=plain,
    # A table that cannot be altered in place is copied.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
