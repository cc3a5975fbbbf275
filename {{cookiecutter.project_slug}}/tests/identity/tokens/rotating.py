"""The service, impatient for keys of the identity provider that it does not know: a program."""

from app.__main__ import run
from app.auth import jwks

jwks.COOLDOWN_SECONDS = 0.2  # type: ignore[assignment]

if __name__ == "__main__":
    run()
