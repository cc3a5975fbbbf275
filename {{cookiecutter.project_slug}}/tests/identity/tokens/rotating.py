"""The service, impatient for keys of the identity provider: a program."""

from app.__main__ import run
from app.auth import jwks

jwks.COOLDOWN_SECONDS = jwks.FRESH_SECONDS = 0.2  # type: ignore[assignment]

if __name__ == "__main__":
    run()
