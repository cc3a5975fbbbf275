"""Runs the service beside the servers that it needs, where no setting names others."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a process as it is meant to, beside Ctrl-C; a closed terminal is the second."""


def main() -> int:
    """Start what is missing, then `python -m app` with the words given; its exit status."""
    for number in ENDS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with ExitStack() as stack:
        command = [sys.executable, "-m", "app", *sys.argv[1:]]
        process = subprocess.Popen(command, env={**os.environ, **_started(stack)})
        # The service ends first, then its servers; Ctrl-C has reached it already.
        signal.signal(signal.SIGINT, lambda *_: None)
        for number in ENDS:
            signal.signal(number, lambda number, _: process.send_signal(number))
        status = process.wait()
        return status if status >= 0 else 128 - status


def _started(stack: ExitStack) -> dict[str, str]:
    """The variables that lead to servers which run as long as the stack is open."""
    variables: dict[str, str] = {}
    env = ROOT / ".env"
    lines = env.read_text(encoding="utf-8").splitlines() if env.exists() else []
    named = {*os.environ, *(line.partition("=")[0].strip() for line in lines)}
    for path in sorted((ROOT / "dev" / "services").glob("*.py")):
        service = import_module(f"dev.services.{path.stem}")
        if service.VARIABLE not in named:
            folder = ROOT / ".services" / path.stem
            found = stack.enter_context(service.start(folder))
            where = f"{found[service.VARIABLE]}, with its data in {folder.relative_to(ROOT)}"
            print(f"This service has a {path.stem} of its own: {where}.", flush=True)
            variables |= found
    return variables


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except RuntimeError as missing:
        raise SystemExit(f"{missing}.") from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
