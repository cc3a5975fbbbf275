"""What the environment decides: variables with the prefix `APP_`, and a `.env` file."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
RoomName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
Count = Annotated[int, Field(ge=1)]


def _listed(value: object) -> object:
    """`APP_ROOMS=lobby,help` in the environment."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _bounded(network: IPvAnyNetwork) -> IPvAnyNetwork:
    if not network.prefixlen:
        raise ValueError("everybody would be a proxy, and be whoever they say")
    return network


Listed = (NoDecode, BeforeValidator(_listed))
Proxy = Annotated[IPvAnyNetwork, AfterValidator(_bounded)]


class Section(BaseSettings):
    """Settings that belong together; an adapter declares its own as a subclass."""

    model_config = SettingsConfigDict(
        env_prefix="APP_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    environment: Literal["development", "production"] = "development"

    @property
    def in_production(self) -> bool:
        """Whether real users are served: what is unsafe is refused, development's help is off."""
        return self.environment == "production"

    def complaints(self) -> Iterator[str]:
        """What forbids the service to start, one sentence each, with what to do about it."""
        yield from ()


class ServerSettings(Section):
    """Where the service listens and how it says what it does."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Count = 1
    reload: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    grace_seconds: Positive | None = None
    trusted_proxies: Annotated[tuple[Proxy, ...], *Listed] = ()

    @property
    def drain_window(self) -> float:
        """Over how many seconds clients are asked to move, at shutdown: none in development."""
        window = self.drain_seconds
        return (15 if self.in_production else 0) if window is None else window

    @property
    def shutdown_seconds(self) -> float:
        """How long a shutdown may take, with the drain, before what is left is cut."""
        return self.grace_seconds or (25 if self.in_production else 2)

    @property
    def closing_seconds(self) -> float:
        """How long connections may take to end after the drain: a fifth is left for the rest."""
        # uvicorn looks every 0.1 s whether something is over, in three places.
        return max(0.0, 0.8 * (self.shutdown_seconds - self.drain_window) - 0.3)

    def complaints(self) -> Iterator[str]:
        """A shutdown takes longer than the drain."""
        window, grace = self.drain_window, self.shutdown_seconds
        if window >= grace:
            yield (
                f"APP_DRAIN_SECONDS: {window:g} is not less than APP_GRACE_SECONDS, {grace:g}; "
                "what is left when clients have moved takes time, too"
            )


class Limits(Section):
    """What one connection may do, and how long things may take, in seconds."""

    max_message_bytes: Count = 65_536
    max_header_bytes: Annotated[int, Field(ge=1024)] = 16_384
    handshake_seconds: Positive = 10
    auth_seconds: Positive = 10
    command_seconds: Positive = 10
    heartbeat_seconds: Positive = 25
    heartbeat_timeout_seconds: Positive = 10
    channels_per_connection: Count = 128
    connections_per_user: Count = 20
    connections_per_address: Count = 100
    connections_per_node: Count = 20_000
    commands_per_second: Positive = 20
    commands_burst: Count = 40
    subscribes_burst: Count = 128
    publishes_per_second: Positive = 10
    publishes_burst: Count = 20
    max_errors: Count = 20
    outbox_bytes: Count = 1_048_576
    outbox_seconds: Positive = 10
    compression: bool = False
    compression_threshold: Count = 1024
    history_page: Annotated[int, Field(ge=1, le=1000)] = 100
    recovery_limit: Count = 10_000
    repair_limit: Count = 1_000
    sweep_seconds: Positive = 10


class DemoSettings(Section):
    """What is there from the start, for people who look around."""

    demo: bool | None = None
    rooms: Annotated[tuple[RoomName, ...], *Listed] = ("lobby",)

    @property
    def shown(self) -> bool:
        """Whether the demo page and the API's documentation are served."""
        return not self.in_production if self.demo is None else self.demo


def seen_as(proxies: Sequence[Proxy]) -> list[str]:
    """How proxies appear, also to a listener of both kinds, which sees IPv4 inside IPv6."""
    old = [each for each in proxies if each.version == 4]
    return [*map(str, proxies), *(f"::ffff:{each[0]}/{96 + each.prefixlen}" for each in old)]


def complaints() -> list[str]:
    """Everything that is wrong with the environment, over all sections of the loaded modules."""
    found: list[str] = []
    for section in _sections(Section):
        try:
            found += section().complaints()
        except ValidationError as error:
            found += [_sentence(*problem["loc"], _said(problem)) for problem in error.errors()]
    return list(dict.fromkeys(found))


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _said(problem: ErrorDetails) -> str:
    missing = problem["type"] == "missing"
    return "it has to be set, as in .env.example" if missing else problem["msg"]


def _sentence(*parts: int | str) -> str:
    *place, message = parts
    # A number says which of a list it is, and is no part of the variable's name.
    return f"APP_{'_'.join(each for each in place if isinstance(each, str)).upper()}: {message}"
