"""An environment in which nothing was set yet."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.auth.secret import signing_secret

from ..service import needed


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """No settings but what must be there, an empty folder, and a secret nobody asked for yet."""
    for name in [each for each in os.environ if each.upper().startswith("APP_")]:
        if name not in needed():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    signing_secret.cache_clear()
    yield monkeypatch
    signing_secret.cache_clear()
