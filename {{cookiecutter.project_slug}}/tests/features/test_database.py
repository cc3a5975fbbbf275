"""The database as a route is given it: open while the route runs, and no longer."""

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from app.features.base import current_node
from app.features.database import Session, WritingSession

from ..databases import KINDS, own_database
from ..realtime.stage import open_node


async def test_a_session_ends_before_its_answer_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes an answer slowly would hold the database."""
    app = FastAPI()

    async def count(session: Session) -> int:
        one: int = (await session.execute(text("SELECT 1"))).scalar_one()
        return one

    @app.get("/")
    async def answer(
        count: Annotated[int, Depends(count)], session: Session, writing: WritingSession
    ) -> StreamingResponse:
        await writing.execute(text("SELECT 1"))
        assert session.in_transaction() and writing.in_transaction()

        async def stream() -> AsyncIterator[str]:
            yield f"{count} {session.in_transaction()} {writing.in_transaction()}"

        return StreamingResponse(stream())

    for name, value in own_database(tmp_path).items():
        monkeypatch.setenv(name, value)
    open_history = import_module(f"app.history.{KINDS[0]}").open_history
    async with open_history() as history, open_node(history=history) as node:
        app.dependency_overrides[current_node] = lambda: node
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
            assert (await http.get("/")).text == "1 False False"
