"""Where the secret comes from, and which ones are refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from structlog.testing import capture_logs

from app.auth import secret
from app.auth.secret import DEVELOPMENT_SECRET, SecretSettings, signing_secret

from ..conftest import Connect
from ..service import Service

LONG = "0123456789" + "x" * 22


def test_the_environment_gives_it(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("APP_JWT_SECRET", LONG)
    assert signing_secret() == LONG
    assert not DEVELOPMENT_SECRET.exists()


def test_in_development_it_is_kept_for_the_next_start(bare: pytest.MonkeyPatch) -> None:
    first = signing_secret()
    assert len(first) >= 32
    assert DEVELOPMENT_SECRET.stat().st_mode & 0o777 == 0o600
    signing_secret.cache_clear()
    assert signing_secret() == first


def test_those_who_start_at_once_have_the_same(bare: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        together = Barrier(4)

        def start(together: Barrier = together) -> str:
            together.wait()
            return secret._development_secret()

        with ThreadPoolExecutor(4) as starting:
            found = {each.result() for each in [starting.submit(start) for _ in range(4)]}
        assert len(found) == 1
        DEVELOPMENT_SECRET.unlink()
    assert not list(Path().iterdir())


@pytest.mark.parametrize("text", ["", "short"])
def test_a_file_that_holds_no_secret_is_not_used_as_one(
    bare: pytest.MonkeyPatch, text: str
) -> None:
    """As left behind by a start that was cut short: whoever knows it could sign anything."""
    DEVELOPMENT_SECRET.write_text(text)
    assert len(signing_secret()) >= 32


def test_where_nothing_can_be_kept_it_lasts_as_long_as_the_process(
    bare: pytest.MonkeyPatch,
) -> None:
    bare.setattr(secret, "DEVELOPMENT_SECRET", Path("no such folder", "secret"))
    with capture_logs() as logs:
        first = signing_secret()
    assert len(first) >= 32
    assert signing_secret() == first
    assert [each["log_level"] for each in logs] == ["warning"]
    assert first not in str(logs)


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (LONG, ""),
        (LONG[1:], "shorter"),
        ("", "shorter"),
        ("x" * 64, "repeats itself"),
        ("123456789" * 8, "repeats itself"),
        ("1234567890" * 4, ""),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(
    bare: pytest.MonkeyPatch, environment: str, value: str, wrong: str
) -> None:
    bare.setenv("APP_ENVIRONMENT", environment)
    bare.setenv("APP_JWT_SECRET", value)
    settings = SecretSettings()
    found = [*settings.complaints(), *settings.missing()]
    assert len(found) == bool(wrong)
    for complaint in found:
        assert "APP_JWT_SECRET" in complaint and wrong in complaint
        assert "token_urlsafe" in complaint, "says what to do"
        assert not value or value not in complaint


def test_only_development_makes_one_itself(bare: pytest.MonkeyPatch) -> None:
    assert not [*SecretSettings().complaints(), *SecretSettings().missing()]
    bare.setenv("APP_ENVIRONMENT", "production")
    (complaint,) = SecretSettings().missing()
    assert "APP_JWT_SECRET is missing" in complaint and "token_urlsafe" in complaint


async def test_a_service_keeps_its_secret_to_itself(service: Service, connect: Connect) -> None:
    await connect()
    file = service.folder / DEVELOPMENT_SECRET
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in service.log
