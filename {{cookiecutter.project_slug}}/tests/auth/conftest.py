"""An environment in which nothing was set yet."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.auth.secret import signing_secret


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """No settings, an empty folder, and a secret that nobody has asked for yet."""
    for name in [each for each in os.environ if each.upper().startswith("APP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    signing_secret.cache_clear()
    yield monkeypatch
    signing_secret.cache_clear()
