"""Refusals over REST: one status per code, the same words as on the socket, never a 500."""

import json

import httpx2
import pytest
from fastapi import FastAPI

from app.http.errors import install_errors
from app.protocol.errors import CommandError, ErrorCode

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


async def test_a_path_that_is_none_is_not_found(service: Service, calm: None) -> None:
    async with httpx2.AsyncClient(base_url=service.http) as http:
        for path in ("/nope", "/api", "/api/channels", "/ws", "/livez/x"):
            assert (await http.get(path)).status_code == 404
        assert (await http.delete("/livez")).status_code == 405
