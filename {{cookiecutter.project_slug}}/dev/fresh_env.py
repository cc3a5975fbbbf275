"""Writes `.env` with fresh secrets for this machine, unless there is one: part of `make setup`."""

import os
from pathlib import Path
from secrets import token_urlsafe

ENV = Path(__file__).parents[1] / ".env"

TEXT = """\
# Secrets of this machine alone; git ignores this file. .env.example has every setting.
APP_JWT_SECRET={}
APP_API_KEY={}
"""


def main() -> None:
    """Write the file so that only its owner can read it, and never over another."""
    try:
        with open(ENV, "x", encoding="utf-8", opener=_private) as file:
            file.write(TEXT.format(token_urlsafe(32), token_urlsafe(32)))
    except FileExistsError:
        print(".env is there already and stays as it is.")
    else:
        print("Wrote .env with fresh secrets for this machine; give production others of its own.")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    main()
