"""Refused commands as HTTP answers: one table, and the same words as on the socket."""

from math import ceil

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

from ..protocol.codec import encode_error
from ..protocol.errors import CommandError, ErrorCode

_STATUS = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.UNKNOWN_CHANNEL: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.UNRECOVERABLE: 410,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.INVALID_MESSAGE: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.TIMEOUT: 504,
}


def install_errors(app: FastAPI) -> None:
    """Answer with a status, a code and what to do, whatever was refused."""
    app.exception_handler(CommandError)(_answer)
    app.exception_handler(RequestValidationError)(_explain)


async def _answer(request: Request, error: CommandError) -> Response:
    headers = {}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = _challenge(request.headers.get("authorization", ""))
    if error.retry_after is not None:
        headers["Retry-After"] = str(ceil(error.retry_after))
    status = _STATUS.get(error.code, 400)
    return Response(encode_error(error).payload, status, headers, media_type="application/json")


def _challenge(authorization: str) -> str:
    """What to come with; RFC 6750, 3.1: why not is said only to those who came with a token."""
    scheme, _, token = authorization.partition(" ")
    shown = scheme.lower() == "bearer" and token.strip()
    return 'Bearer error="invalid_token"' if shown else "Bearer"


async def _explain(request: Request, error: RequestValidationError) -> Response:
    """The first thing that is wrong; the request itself is not repeated."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"][1:]) or None
    refused = CommandError(ErrorCode.INVALID_MESSAGE, problem["msg"], field=field)
    return await _answer(request, refused)
