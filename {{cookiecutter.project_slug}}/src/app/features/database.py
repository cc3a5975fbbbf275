"""The database for routes and rules: `session: Session` in a signature says it all."""

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from ..history.sql import SqlHistory
from .base import CurrentNode


async def open_session(node: CurrentNode) -> AsyncIterator[AsyncSession]:
    """A session that ends with the operation, before the answer is sent."""
    async with cast(SqlHistory, node.hub.history).database.session() as session:
        yield session


async def open_writing_session(node: CurrentNode) -> AsyncIterator[AsyncSession]:
    """The same; what it did counts once it has committed."""
    async with cast(SqlHistory, node.hub.history).database.session(writes=True) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]
"""For what only reads: others write meanwhile."""
WritingSession = Annotated[AsyncSession, Depends(open_writing_session, scope="function")]
"""For what writes: it may keep others from writing, publishers too, until it ends."""
