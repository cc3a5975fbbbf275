"""Refusals over REST: one status per code, the same words as on the socket, never a 500."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from app.http.errors import install_errors
from app.protocol.errors import CommandError, ErrorCode

from ..conftest import Connect
from ..service import Service
from ..shapes import parse

STATUS = {
    "unauthenticated": 401,
    "forbidden": 403,
    "unknown_channel": 404,
    "conflict": 409,
    "unrecoverable": 410,
    "too_large": 413,
    "invalid_message": 422,
    "rate_limited": 429,
    "internal": 500,
    "overloaded": 503,
    "unavailable": 503,
    "timeout": 504,
}


async def answer(error: Exception) -> httpx2.Response:
    """What a route answers that raises this."""
    service = FastAPI()
    install_errors(service)

    @service.get("/")
    async def fail() -> None:
        raise error

    transport = httpx2.ASGITransport(app=service)
    async with httpx2.AsyncClient(transport=transport, base_url="http://node") as http:
        return await http.get("/")


@pytest.mark.parametrize("code", ErrorCode)
async def test_a_refusal_has_its_status_and_the_words_of_the_socket(code: ErrorCode) -> None:
    response = await answer(CommandError(code, "not now", field="data"))
    assert response.status_code == STATUS.get(code, 400)
    assert response.headers["content-type"] == "application/json"
    assert "retry-after" not in response.headers
    assert parse(response.content) == {
        "type": "error",
        "code": code,
        "message": "not now",
        "retryable": code.retryable,
        "field": "data",
    }


@pytest.mark.parametrize(("seconds", "header"), [(1, "1"), (0.2, "1"), (2.5, "3")])
async def test_when_to_come_back_is_said_and_never_too_early(seconds: float, header: str) -> None:
    response = await answer(CommandError(ErrorCode.OVERLOADED, "later", retry_after=seconds))
    assert response.headers["retry-after"] == header
    assert response.json()["retry_after_ms"] == seconds * 1000


# malformed bodies


PATH = "/api/channels/user:x/messages"
"""Takes any JSON."""

BODIES = [
    "",
    "no JSON",
    "[]",
    "null",
    "{}",
    "[" * 50_000,
    '{"data":' + "[" * 50_000,
    '{"data":' + "9" * 5_000 + "}",
    '{"data":' + "[" * 100 + "]" * 100 + "}",
    r'{"data":{"text":"\ud800"}}',
    r'{"data":{"\ud800":1}}',
    r'{"data":{"text":"\u0000"}}',
    '{"data":NaN}',
    '{"data":{"text":Infinity}}',
    '{"data":1e400}',
    '{"data":{"text":"x"},"key":""}',
    '{"data":{"text":"x"},"key":1}',
    r'{"data":{"text":"x"},"key":"\ud800"}',
    r'{"data":{"text":"x"},"key":"\u0000"}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body[:40]))
async def test_a_body_that_makes_no_sense_is_refused_in_words(
    server_side: httpx2.AsyncClient, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await server_side.post(PATH, content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert json.loads(response.content)
    if response.status_code == 422:
        assert parse(response.content)["code"] == "invalid_message"


async def test_a_body_of_bytes_that_are_no_text_is_refused(
    server_side: httpx2.AsyncClient,
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await server_side.post(PATH, content=b'{"data":"\xff\xfe"}', headers=headers)
    assert response.status_code in (400, 422)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "application/json; x=\xfc"])
async def test_a_body_of_another_kind_is_refused_or_read(
    server_side: httpx2.AsyncClient, kind: str
) -> None:
    headers = [(b"Content-Type", kind.encode("latin-1"))]
    for body in (b"\xff", b'{"data"', b"data=1"):
        response = await server_side.post(PATH, content=body, headers=headers)
        assert response.status_code in (400, 415, 422)


@pytest.mark.parametrize(
    "path", ["/api/channels/%ff/presence", "/api/channels/chat:lobby%ff/presence"]
)
async def test_a_path_that_is_no_text_is_refused(
    server_side: httpx2.AsyncClient, path: str
) -> None:
    assert (await server_side.get(path)).status_code == 422
    assert (await server_side.get("/api/channels/chat:lobby/messages?limit=%ff")).status_code == 422


@pytest.mark.parametrize("path", [PATH, "/api/rooms"])
async def test_a_body_is_no_larger_than_a_message(
    server_side: httpx2.AsyncClient, connect: Connect, path: str
) -> None:
    """What is published over REST goes out over sockets, whose outboxes have a limit."""
    limit = (await connect()).welcome["limits"]["message_bytes"]
    body = json.dumps({"data": "x" * limit, "name": "large", "title": "x" * limit})
    headers = {"Content-Type": "application/json"}
    response = await server_side.post(path, content=body, headers=headers)
    assert response.status_code == 413
    chunked = await server_side.post(path, content=_chunks(body), headers=headers)
    assert chunked.status_code in (400, 413)


async def _chunks(body: str) -> AsyncIterator[bytes]:
    """A body of which nobody knows the length before."""
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000].encode()


async def test_a_path_that_is_none_is_not_found(service: Service, calm: None) -> None:
    async with service.rest() as http:
        for path in ("/nope", "/api", "/api/channels", "/ws", "/livez/x"):
            assert (await http.get(path)).status_code == 404
        assert (await http.delete("/livez")).status_code == 405
