"""`python -m app`: check the configuration, then serve."""

import sys

import uvicorn

from .adapters import TITLE
from .auth import origins  # noqa: F401 - settings to which no adapter leads
from .server import uvicorn_options
from .settings import Limits, ServerSettings, complaints


def run() -> None:
    """Serve, or say all that is wrong with the configuration and end with status 2."""
    if found := complaints():
        sys.stderr.write("\n  ".join((f"{TITLE} does not start:", *found)) + "\n")
        raise SystemExit(2)
    uvicorn.run(**uvicorn_options(ServerSettings(), Limits()))


if __name__ == "__main__":
    run()
