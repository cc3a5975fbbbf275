"""Structured logs: facts with fields, in words for a terminal or as JSON for a collector."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import Processor

from .settings import ServerSettings

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_structlog() -> None:
    """Let `structlog.stdlib.get_logger` write through the standard library's logging."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_config(settings: ServerSettings) -> dict[str, Any]:
    """Logs of the service and of the libraries it uses, to standard error, in one form."""
    style = settings.log_format or ("json" if settings.in_production else "console")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"handshakes": {"()": lambda: _is_no_handshake}},
        "formatters": {
            "default": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *_renderers(style),
                ],
            }
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["handshakes"],
            }
        },
        "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
    }


def _renderers(style: str) -> list[Processor]:
    # Tracebacks without local variables: those hold tokens and keys.
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _is_no_handshake(record: logging.LogRecord) -> bool:
    """Drop what uvicorn says per connection: it holds the query string, which may hold a token.

    The service logs each session itself.
    """
    message = str(record.msg)
    return '"WebSocket %s"' not in message and message not in (
        "connection open",
        "connection closed",
    )
