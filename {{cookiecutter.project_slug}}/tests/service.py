"""The service as a process of its own, and a bare connection to it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

import httpx2
from websockets.asyncio.client import ClientConnection, connect

API_KEY = "the-key-of-the-tests"
PATIENCE = 10.0
"""Seconds after which what a test waits for is taken not to come."""

Frame = dict[str, Any]


class Service:
    """One running server; its settings are those given, whatever the environment has."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def log(self) -> str:
        """Everything that the process wrote."""
        return (self._folder / "log").read_text()

    @property
    def http(self) -> str:
        """Where REST is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """Where the socket is."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> None:
        """Start, on the same port as before, and return once it is ready."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        settings = {"APP_PORT": str(self.port), "APP_API_KEY": API_KEY, "APP_LOG_FORMAT": "json"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=self._folder,
                env=ours | settings | self._settings,
                stdout=log,
                stderr=log,
            )
        self._wait_until_listening()

    def kill(self) -> None:
        """End without a word to anybody, as in a crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End as a deploy does; the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    async def token(self, user: str) -> str | None:
        """A token for a user; None where everybody is a guest."""
        form = {"username": user, "password": "any"}
        async with httpx2.AsyncClient(base_url=self.http) as http:
            response = await http.post("/auth/token", data=form)
        return response.json()["access_token"] if response.is_success else None

    def _wait_until_listening(self) -> None:
        """Wait for the line that names the port."""
        assert self._process is not None
        end = monotonic() + PATIENCE
        while "Uvicorn running on" not in self.log.rpartition("Started server")[2]:
            assert self._process.poll() is None and monotonic() < end, self.log
            sleep(0.01)
        if not self.port:
            line = self.log.rpartition("Uvicorn running on http://127.0.0.1:")[2]
            self.port = int(line.partition(" ")[0])


class Wire:
    """A connection on which a test says and hears every frame itself."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.welcome: Frame = {}

    @property
    def user(self) -> str:
        """Whom the server takes this connection for."""
        return str(self.welcome["user"]["id"])

    async def say(self, **frame: Any) -> None:
        """Send one message."""
        await self.connection.send(json.dumps(frame))

    async def hear(self) -> Frame:
        """The next message that is no heartbeat."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame: Frame = json.loads(await self.connection.recv())
                if frame["type"] != "ping":
                    return frame

    async def hear_type(self, wanted: str) -> Frame:
        """The next message of a type; others are passed over."""
        while (frame := await self.hear())["type"] != wanted:
            pass
        return frame

    async def ask(self, **frame: Any) -> Frame:
        """Send a command and return its reply; pushes before it are passed over."""
        wanted = frame.setdefault("id", "asked")
        await self.say(**frame)
        while (reply := await self.hear()).get("id") != wanted:
            pass
        return reply

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close; what comes before is passed over."""
        async with asyncio.timeout(PATIENCE):
            async for _ in self.connection:
                pass
        return self.connection.close_code or 0, self.connection.close_reason or ""


class Connected(Wire):
    """A connection that is authenticated, by whatever this service was generated with."""

    @classmethod
    async def open(cls, service: Service, user: str, path: str = "") -> Self:
        """Connect and be welcome."""
        token = await service.token(user)
        wire = cls(await connect(service.ws + path, ping_interval=None))
        if token is not None:
            await wire.say(type="auth", token=token)
        wire.welcome = await wire.hear()
        assert wire.welcome["type"] == "welcome", wire.welcome
        return wire


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Service]:
    """A service of one's own, with settings of one's own."""
    service = Service(folder, settings)
    service.start()
    try:
        yield service
    finally:
        service.stop()
