"""The server that the tests share, by other names for each folder."""

import os
from hashlib import blake2b
from pathlib import Path


def own_broker(folder: Path) -> dict[str, str]:
    """The settings for names that nobody else uses."""
    name = blake2b(bytes(folder.resolve()), digest_size=8).hexdigest()
    return {"APP_REDIS_URL": os.environ["APP_REDIS_URL"], "APP_REDIS_PREFIX": name}
