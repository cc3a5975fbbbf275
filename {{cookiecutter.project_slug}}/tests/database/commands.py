"""Commands, as they are typed."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ..service import environment


def command(
    folder: Path, settings: Mapping[str, str | None], *words: str, source: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m app ...` in a folder, to its end; `source` instead of this project's."""
    variables = environment(settings)
    if source is not None:
        variables["PYTHONPATH"] = str(source)
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
