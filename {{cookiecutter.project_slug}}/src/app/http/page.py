"""Serves the demo page and its modules; what it may load is said by a content security policy."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ..accounts.base import Accounts, Offer

FOLDER = Path(__file__).parent / "demo"

_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page(BaseModel):
    """What the page needs to know about this service."""

    title: str
    auth: str
    accounts: str
    namespaces: Sequence[str]
    offer: Offer | None = None


class Modules(StaticFiles):
    """The page's files, with its headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def page_router(page: Page) -> APIRouter:
    """`/`, and what it asks first."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index() -> FileResponse:
        return FileResponse(FOLDER / "index.html", headers=_HEADERS)

    @router.get("/demo.json")
    async def about(request: Request) -> Page:
        accounts: Accounts = request.state.accounts
        return page.model_copy(update={"offer": accounts.offer})

    return router
