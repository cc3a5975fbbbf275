"""`python -m app`: check the configuration, then serve, or do what a command says."""

import asyncio
import logging.config
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from .adapters import COMMANDS, TITLE, serve
from .auth import origins  # noqa: F401 - settings to which no adapter leads
from .observability import configure_structlog, log_config
from .protocol.errors import CommandError
from .server import uvicorn_options
from .settings import Limits, ServerSettings, complaints


def run(arguments: Sequence[str] | None = None) -> None:
    """Serve, or say all that is wrong with the configuration and end with status 2."""
    parser = ArgumentParser("python -m app", description=f"{TITLE}; it serves unless told else.")
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in COMMANDS:
        add(parsers)
    given = parser.parse_args(arguments)
    if found := complaints():
        sys.stderr.write("\n  ".join((f"{TITLE} does not start:", *found)) + "\n")
        raise SystemExit(2)
    if "run" not in given:
        serve(uvicorn_options(ServerSettings(), Limits()))
        return
    logging.config.dictConfig(log_config(ServerSettings()))
    configure_structlog()
    try:
        if "prepare" in given:
            given.prepare(given)
        asyncio.run(given.run(given))
    except CommandError as error:
        sys.stderr.write(f"{error.message}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
