"""What the environment and `.env` decide, and what is complained about."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.auth.secret import SecretSettings
from app.settings import DemoSettings, Limits, Section, ServerSettings, complaints

from .service import Service


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without settings, in a folder of its own."""
    for name in [each for each in os.environ if each.upper().startswith("APP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_nothing_has_to_be_set() -> None:
    settings = ServerSettings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert not settings.in_production


def test_a_file_is_read_and_the_environment_wins(bare: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("APP_PORT=1234\nAPP_HOST=0.0.0.0\nOTHER=x\nAPP_UNKNOWN=y\n")
    assert (ServerSettings().port, ServerSettings().host) == (1234, "0.0.0.0")  # noqa: S104
    bare.setenv("APP_PORT", "4321")
    assert (ServerSettings().port, ServerSettings().host) == (4321, "0.0.0.0")  # noqa: S104


def test_a_variable_has_the_prefix(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("PORT", "1234")
    assert ServerSettings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_PORT", "abc"),
        ("APP_PORT", "-1"),
        ("APP_PORT", "65536"),
        ("APP_WORKERS", "0"),
        ("APP_WORKERS", "two"),
        ("APP_ENVIRONMENT", "staging"),
        ("APP_LOG_LEVEL", "loud"),
        ("APP_LOG_FORMAT", "xml"),
        ("APP_GRACE_SECONDS", "0"),
        ("APP_COMPRESSION", "brotli"),
        ("APP_COMPRESSION_THRESHOLD", "0"),
        ("APP_MAX_MESSAGE_BYTES", "0"),
        ("APP_AUTH_SECONDS", "-1"),
        ("APP_COMMAND_SECONDS", "soon"),
        ("APP_HEARTBEAT_SECONDS", "0"),
        ("APP_CHANNELS_PER_CONNECTION", "1.5"),
        ("APP_HISTORY_PAGE", "1001"),
        ("APP_RECOVERY_LIMIT", "0"),
        ("APP_SWEEP_SECONDS", "nan"),
        ("APP_HEARTBEAT_SECONDS", "inf"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(
    bare: pytest.MonkeyPatch, name: str, value: str
) -> None:
    bare.setenv(name, value)
    found = complaints()
    assert [each for each in found if each.startswith(f"{name}: ")]
    assert len(found) == len(set(found))


def test_everything_that_is_wrong_is_said_at_once(bare: pytest.MonkeyPatch) -> None:
    names = ("APP_PORT", "APP_WORKERS", "APP_AUTH_SECONDS", "APP_SWEEP_SECONDS")
    for name in names:
        bare.setenv(name, "many")
    text = "\n".join(complaints())
    for name in names:
        assert name in text


def test_a_complaint_of_a_section_is_not_hidden_by_another_section(
    bare: pytest.MonkeyPatch,
) -> None:
    assert SecretSettings in Section.__subclasses__()
    bare.setenv("APP_JWT_SECRET", "short")
    bare.setenv("APP_PORT", "many")
    found = complaints()
    assert any("APP_PORT" in each for each in found)
    assert any("APP_JWT_SECRET" in each for each in found)


@pytest.mark.parametrize(
    ("value", "rooms"),
    [("lobby, help ,", ("lobby", "help")), ("", ()), ("one", ("one",))],
)
def test_rooms_are_named_in_one_line(
    bare: pytest.MonkeyPatch, value: str, rooms: tuple[str, ...]
) -> None:
    bare.setenv("APP_ROOMS", value)
    assert DemoSettings().rooms == rooms


@pytest.mark.parametrize("value", ["two words", "a:b", "*", "x" * 129, "ä"])
def test_a_room_that_could_not_be_entered_is_complained_about(
    bare: pytest.MonkeyPatch, value: str
) -> None:
    bare.setenv("APP_ROOMS", f"lobby,{value}")
    assert [each for each in complaints() if "APP_ROOMS" in each]


def test_proxies_are_addresses_and_networks_in_one_line(bare: pytest.MonkeyPatch) -> None:
    assert ServerSettings().trusted_proxies == ()
    bare.setenv("APP_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1 ,2001:db8::/32")
    proxies = [str(each) for each in ServerSettings().trusted_proxies]
    assert proxies == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]


@pytest.mark.parametrize("value", ["*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.1/8", "1.2"])
def test_a_proxy_that_could_be_anybody_is_complained_about(
    bare: pytest.MonkeyPatch, value: str
) -> None:
    bare.setenv("APP_TRUSTED_PROXIES", f"192.0.2.1,{value}")
    assert [each for each in complaints() if each.startswith("APP_TRUSTED_PROXIES: ")]


def test_development_ends_quickly_and_production_with_patience(bare: pytest.MonkeyPatch) -> None:
    assert ServerSettings().shutdown_seconds == 2
    bare.setenv("APP_ENVIRONMENT", "production")
    assert ServerSettings().shutdown_seconds == 25
    bare.setenv("APP_GRACE_SECONDS", "7")
    assert ServerSettings().shutdown_seconds == 7


def test_a_drain_leaves_time_for_what_comes_after_it(bare: pytest.MonkeyPatch) -> None:
    for window, grace, complained in [("5", "5.5", False), ("5", "5", True), (None, "15", True)]:
        bare.setenv("APP_ENVIRONMENT", "production")
        bare.setenv("APP_GRACE_SECONDS", grace)
        bare.delenv("APP_DRAIN_SECONDS", raising=False)
        if window is not None:
            bare.setenv("APP_DRAIN_SECONDS", window)
        assert any("APP_DRAIN_SECONDS" in each for each in complaints()) is complained


@pytest.mark.parametrize("grace", ["0.1", "2", "25", "600"])
def test_drain_and_end_fit_into_the_grace(bare: pytest.MonkeyPatch, grace: str) -> None:
    """uvicorn and the parts take half a second of it, where there is that much."""
    bare.setenv("APP_GRACE_SECONDS", grace)
    settings = ServerSettings()
    taken = settings.drain_window + settings.closing_seconds
    assert 0 <= taken <= max(settings.shutdown_seconds - 0.5, 0)


def test_settings_do_not_change_while_the_service_runs() -> None:
    settings = Limits()
    with pytest.raises(ValidationError):
        settings.auth_seconds = 1  # type: ignore[misc]


async def test_every_setting_can_be_given_in_a_file(service: Service) -> None:
    """`.env.example` has all of them, commented out, each with the default that it has.

    But how long a first message may take is of no use where none is waited for.
    """
    idle = set() if (await service.shown(None)).message else {"auth_seconds"}
    example = Path(__file__).parents[1] / ".env.example"
    lines = [line.lstrip("#") for line in example.read_text().splitlines()]
    given = dict(line.split("=", 1) for line in lines if line.startswith("APP_"))
    for section in (ServerSettings, Limits, DemoSettings):
        for name, field in section.model_fields.items():
            if name in idle:
                assert f"APP_{name}".upper() not in given
                continue
            text = given[f"APP_{name}".upper()]
            default = field.default
            shown = ",".join(default) if isinstance(default, tuple) else default
            assert text == ("" if shown is None else str(shown).lower()), name
    assert Section.model_config["env_prefix"] == "APP_"
