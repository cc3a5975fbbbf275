"""The service, impatient for keys of the identity provider: a program."""

import sys

from app.__main__ import run
from app.auth import jwks

jwks.COOLDOWN_SECONDS = jwks.FRESH_SECONDS = float(sys.argv[1])  # type: ignore[assignment]

if __name__ == "__main__":
    run([])
