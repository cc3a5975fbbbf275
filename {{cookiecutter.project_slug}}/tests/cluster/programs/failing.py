"""A service by several workers, none of which can begin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.adapters import serve
from app.server import uvicorn_options
from app.settings import Limits, ServerSettings


@asynccontextmanager
async def refuse(app: FastAPI) -> AsyncIterator[None]:
    """Fail before anything is served."""
    raise RuntimeError("planted")
    yield


app = FastAPI(lifespan=refuse)

if __name__ == "__main__":
    serve(uvicorn_options(ServerSettings(), Limits()) | {"app": "failing:app"})
