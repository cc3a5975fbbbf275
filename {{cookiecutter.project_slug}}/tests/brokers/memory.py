"""Nothing: each process is on its own."""

from pathlib import Path


def own_broker(folder: Path) -> dict[str, str]:
    """No settings."""
    return {}
