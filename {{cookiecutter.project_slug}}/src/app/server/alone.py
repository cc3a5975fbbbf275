"""Serves by one process."""

from typing import Any

import uvicorn


def serve(options: dict[str, Any]) -> None:
    """Serve until told to end; where it could not begin, raises SystemExit with a status."""
    uvicorn.run(**options)
