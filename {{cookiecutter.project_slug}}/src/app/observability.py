"""Structured logs: facts with fields, in words for a terminal or as JSON for a collector."""

import logging
import re
import sys
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from .settings import ServerSettings

_NOISE = (
    "connection open",
    "connection closed",
    "connection rejected",
    "Invalid UTF-8 sequence",
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "ASGI callable returned without completing handshake",
)

_SECRET = re.compile(r'(?<=\?)[^\s"\\\x1b]+|(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*')
"""A query, which may hold what proves a user, and what looks like a token."""

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
    """Logs of the service and of the libraries it uses, to standard error, in one form.

    Plain data, since uvicorn hands it to the processes it starts.
    """
    style = settings.log_format or ("json" if settings.in_production else "console")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"handshakes": {"()": f"{__name__}.NoWireNoise"}},
        "formatters": {"default": {"()": f"{__name__}.formatter", "style": style}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["handshakes"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        # Libraries tell the content of messages and forms at the level debug, so this is ours.
        "loggers": {
            "app": {"level": settings.log_level.upper()},
            "watchfiles": {"level": "WARNING"},
            "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
            "uvicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
        },
    }


def formatter(style: str) -> logging.Formatter:
    """Lines for people (`console`), or one JSON object each (`json`).

    Tracebacks come without local variables: those hold tokens and keys.
    """
    renderers: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if style == "json":
        renderers += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        lines = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)
        renderers += [_escape_values, lines]
    return Discreet(foreign_pre_chain=_SHARED, processors=renderers)


def _escape_values(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Keep a terminal from obeying a value: what others chose could move, hide or forge lines."""
    return {name: _escaped(each) if isinstance(each, str) else each for name, each in entry.items()}


def _write_traceback(to: TextIO, raised: ExcInfo) -> None:
    """The same for what an exception says."""
    text = StringIO()
    structlog.dev.plain_traceback(text, raised)
    to.write("\n".join(map(_escaped, text.getvalue().split("\n"))))


def _escaped(text: str) -> str:
    """Text in which all that cannot be seen is written as Python would."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class Discreet(structlog.stdlib.ProcessorFormatter):
    """Writes no query and no token, whoever logs them: in a message, a field or a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without them."""
        return _SECRET.sub("[redacted]", super().format(record))


class NoWireNoise(logging.Filter):
    """Drops what uvicorn says of each connection, since the service logs its sessions itself.

    The line of a handshake holds the query string, which may hold a token; and for a message that
    is not UTF-8 anybody could make it write a traceback, and a line for every request that is none.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may be written."""
        message = str(record.msg)
        return '"WebSocket %s"' not in message and not message.startswith(_NOISE)
