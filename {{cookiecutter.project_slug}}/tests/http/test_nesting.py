"""JSON that nests too deep is refused before it is read."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Body, FastAPI

from app.http.nesting import NestingLimit

from ..collecting import collecting


@pytest.fixture
async def reader() -> AsyncIterator[httpx2.AsyncClient]:
    """Takes whatever can be read."""
    service = FastAPI()
    service.add_middleware(NestingLimit)

    @service.post("/")
    async def read(body: Annotated[Any, Body()]) -> Any:
        return body

    transport = httpx2.ASGITransport(app=service)
    async with httpx2.AsyncClient(transport=transport, base_url="http://node") as http:
        yield http


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("kind", ["application/json", "Application/x+JSON; charset=latin-1"])
async def test_what_runs_meanwhile_is_not_disturbed(
    reader: httpx2.AsyncClient, encoding: str, kind: str
) -> None:
    body = (r'{"\"":' + "[" * 10_000).encode(encoding)
    with collecting() as failed:
        response = await reader.post("/", content=body, headers={"Content-Type": kind})
    assert response.status_code == 400
    assert failed == []


async def test_in_pieces_too(reader: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"[" * 100

    headers = {"Content-Type": "application/json"}
    with collecting() as failed:
        response = await reader.post("/", content=pieces(), headers=headers)
    assert response.status_code == 400
    assert failed == []


@pytest.mark.parametrize("body", ['["[[["]', "[" * 100 + "]" * 100, '"' + "[" * 200 + '"'])
async def test_what_is_flat_arrives(reader: httpx2.AsyncClient, body: str) -> None:
    response = await reader.post("/", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.text) == (200, body)


async def test_other_bodies_are_as_deep_as_they_like(reader: httpx2.AsyncClient) -> None:
    response = await reader.post("/", content="[" * 200, headers={"Content-Type": "text/plain"})
    assert response.status_code != 400


async def test_the_service_reads_nothing_that_is_deeper(server_side: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    path = "/api/channels/user:x/messages"
    said = [(await server_side.post(path, content="[" * n, headers=headers)) for n in (128, 129)]
    assert [response.status_code for response in said] == [422, 400]
