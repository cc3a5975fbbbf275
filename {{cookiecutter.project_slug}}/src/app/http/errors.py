"""Refused commands as HTTP answers: one table, and the same words as on the socket."""

from fastapi import FastAPI, Request
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
    """Answer a CommandError with its status, its code and what to do."""
    app.exception_handler(CommandError)(_answer)


async def _answer(request: Request, error: CommandError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(round(error.retry_after))}
    status = _STATUS.get(error.code, 400)
    return Response(encode_error(error), status, headers, media_type="application/json")
