"""The service as a process of its own, and a bare connection to it."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self
from urllib.parse import urlencode

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from . import brokers, databases
from .brokers import own_broker
from .databases import own_database
from .doors import GUESTS, open_door
from .doors.base import Shown
from .shapes import Frame, parse
from .signing import signed

API_KEY = "the-key-of-the-tests-of-this-service"
OUTLIVES = databases.OUTLIVES or brokers.OUTLIVES
"""Whether what was said outlives the process."""
PATIENCE = 20.0
"""Seconds after which what a test waits for is taken not to come."""
STARTING = 60.0
"""The same for a service that starts, perhaps beside many others."""
PROGRAM = ("-m", "app")
IN_HASTE = {
    "APP_COMMANDS_PER_SECOND": "1000000",
    "APP_COMMANDS_BURST": "1000000",
    "APP_SUBSCRIBES_BURST": "1000000",
    "APP_PUBLISHES_PER_SECOND": "1000000",
    "APP_PUBLISHES_BURST": "1000000",
    "APP_MAX_ERRORS": "1000000",
    "APP_SIGN_INS_PER_ADDRESS": "1000000",
    "APP_SIGN_INS_PER_NAME": "1000000",
    "APP_SIGN_INS_PER_NAME_EVERYWHERE": "1000000",
}
"""Tests say more at a time than people do; those of the rates have rates of their own."""


def needed() -> dict[str, str]:
    """What must be set for a service to start at all."""
    return databases.needed() | brokers.needed()


def environment(settings: Mapping[str, str | None]) -> dict[str, str]:
    """The variables of a process whose settings are those given, whatever the environment has."""
    kept = {name: each for name, each in os.environ.items() if not name.upper().startswith("APP_")}
    return kept | needed() | {name: each for name, each in settings.items() if each is not None}


class Service:
    """One running server; its settings are those given, whatever the environment has."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str | None], program: Sequence[str] = PROGRAM
    ) -> None:
        self.folder = folder
        self.port = 0
        self.guests: dict[str, str] = {}
        """What proves guests who were here before, by the names that tests call them."""
        self._settings = settings
        self._stores = own_database(folder) | own_broker(folder)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.claims: dict[str, str] = {}
        """What it insists on in a token, beside whose it is."""
        self._tokens: dict[str, str] = {}

    @property
    def log(self) -> str:
        """Everything that the process wrote."""
        return (self.folder / "log").read_text()

    @property
    def http(self) -> str:
        """Where REST is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Where the socket is."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, on the same port as before, and return once it is ready."""
        usual = {"APP_PORT": str(self.port), "APP_API_KEY": API_KEY, "APP_LOG_FORMAT": "json"}
        before = len(self.log) if (self.folder / "log").exists() else 0
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._program],
                cwd=self.folder,
                env=environment({**IN_HASTE, **usual, **self._stores, **self._settings}),
                stdout=log,
                stderr=log,
            )
        self._wait_until_listening(before)

    def kill(self) -> None:
        """End without a word to anybody, as in a crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End as a deploy does, in time; the exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """The exit status, in time."""
        assert self._process is not None
        try:
            return self._process.wait(PATIENCE)
        finally:
            self.kill()

    def rest(self, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
        """REST; without the certificates that take long to load, since nothing is encrypted."""
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx2.AsyncClient(base_url=self.http, headers=headers, verify=plain)

    async def token(self, user: str) -> str | None:
        """A token for a user; None where everybody is a guest."""
        if GUESTS:
            return None
        if user not in self._tokens:
            self._tokens[user] = signed(self.secret, user, more=self.claims)
        return self._tokens[user]

    async def shown(self, user: str | None) -> Shown:
        """What shows that a connection is a user's, by whatever this service was generated with;
        or that it comes from a page that may connect, and no more.
        """
        return await open_door().show(self, None if user is None else await self.token(user))

    @property
    def secret(self) -> str:
        """What this service signs with."""
        given = self._settings.get("APP_JWT_SECRET")
        return given or (self.folder / ".development-secret").read_text()

    def _wait_until_listening(self, before: int) -> None:
        """Wait for the line that names the port, after what was in the log before."""
        assert self._process is not None
        end = monotonic() + STARTING
        while "Uvicorn running on" not in self.log[before:]:
            assert self._process.poll() is None, self.log
            assert monotonic() < end, self.log
            sleep(0.01)
        if not self.port:
            line = self.log.rpartition("Uvicorn running on http://127.0.0.1:")[2]
            self.port = int(line.partition(" ")[0])


class Wire:
    """A connection on which a test says and hears every frame itself."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.welcome: Frame = {}
        self.token = ""
        """What proves over REST that it is the same user."""

    @property
    def user(self) -> str:
        """Whom the server takes this connection for."""
        return str(self.welcome["user"]["id"])

    async def say(self, **frame: Any) -> None:
        """Send one message."""
        await self.connection.send(json.dumps(frame))

    async def hear(self) -> Frame:
        """The next message that is no heartbeat; it must have its documented shape."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = parse(await self.connection.recv())
                if frame["type"] != "ping":
                    return frame

    async def hear_type(self, wanted: str) -> Frame:
        """The next message of a type; others are passed over."""
        while (frame := await self.hear())["type"] != wanted:
            pass
        return frame

    async def ask(self, **frame: Any) -> Frame:
        """Send a command and return its reply; pushes before it are passed over."""
        return (await self.ask_all(**frame))[-1]

    async def ask_all(self, **frame: Any) -> list[Frame]:
        """Send a command; everything that is heard up to its reply, which is the last."""
        wanted = frame.setdefault("id", "asked")
        await self.say(**frame)
        heard = [await self.hear()]
        while heard[-1].get("id") != wanted:
            heard.append(await self.hear())
        return heard

    async def heard(self) -> list[Frame]:
        """Everything that the server said before it answered a ping of now."""
        return (await self.ask_all(type="ping", id="heard"))[:-1]

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close; what comes before is passed over."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                return self.connection.close_code or 0, self.connection.close_reason or ""


class NotWelcome(AssertionError):
    """A service said something else first, as one does that is leaving."""


def welcome(frame: Frame) -> Frame:
    """The frame, if it is that."""
    if frame["type"] != "welcome":
        raise NotWelcome(frame)
    return frame


class Connected(Wire):
    """A connection that is authenticated, by whatever this service was generated with."""

    @classmethod
    async def open(cls, service: Service, user: str, path: str = "") -> Self:
        """Connect and be welcome; one name is one user, except for guests on a path."""
        token, shown = await service.token(user), await service.shown(user)
        wire = cls(await knock(service, shown, path, max_queue=None))
        if shown.message is not None:
            await wire.say(**shown.message)
        wire.welcome = welcome(await wire.hear())
        wire.token = token or wire.welcome["guest_token"]
        if token is None and not path and user in service.guests:
            wire.token = service.guests[user]
            wire.welcome = welcome(await wire.ask(type="auth", token=wire.token))
        elif token is None and not path:
            service.guests[user] = wire.token
        return wire


async def pruned(wire: Wire, channel: str, first: int) -> Frame:
    """The page from the first publication that is kept, once retention took what was before."""
    async with asyncio.timeout(PATIENCE):
        while True:
            page = await wire.ask(type="history", channel=channel, after=0)
            if page["messages"][0]["offset"] == first:
                return page


async def enter(service: Service, user: str, path: str = "", **options: Any) -> Wire:
    """A connection of a user's, which has heard nothing yet."""
    shown = await service.shown(user)
    wire = Wire(await knock(service, shown, path, **options))
    if shown.message is not None:
        await wire.say(**shown.message)
    return wire


async def knock(service: Service, shown: Shown, path: str = "", **options: Any) -> ClientConnection:
    """A connection that shows what it has to in the handshake; what comes first is not said yet."""
    query = ("&" if "?" in path else "?") + urlencode(shown.query) if shown.query else ""
    url, headers = f"{service.ws}{path}{query}", dict(shown.headers)
    return await connect(url, additional_headers=headers, ping_interval=None, **options)


@contextmanager
def running(
    folder: Path, *, program: Sequence[str] = PROGRAM, **settings: str | None
) -> Iterator[Service]:
    """A service of one's own, with settings of one's own; None unsets one."""
    service = Service(folder, settings, program)
    service.start()
    try:
        yield service
    finally:
        service.stop()
