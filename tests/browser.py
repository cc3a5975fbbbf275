"""Drives the demo page in a real Chromium: finds one, starts services, speaks of windows."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from .baking import ENVIRONMENT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebSocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
API_KEY = "key-of-the-tests-of-the-template"
SECRET = "what-signs-the-tokens-of-these-tests"
PATIENCE = 30.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _missing(reason: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """A Chromium of this machine; the tests that need it are skipped where there is none."""
    if find_spec("playwright") is None:
        _missing("Playwright is not installed: uv sync --group test")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        _missing("no Chromium is on the PATH: install chromium or google-chrome")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Service:
    """A generated service as a real process, which can die and come back on the same port."""

    def __init__(self, python: Path, project: Path, **settings: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._python = python
        self._project = project
        self._settings = {
            "APP_API_KEY": API_KEY,
            "APP_JWT_SECRET": SECRET,
            "APP_DATABASE_URL": f"sqlite:///{project / str(self.port)}.db",
            "APP_PRESENCE_GRACE_SECONDS": "1",
        } | settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start, and return once it is ready."""
        log = self._project / "service.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._python, "-m", "app"],
                cwd=self._project,
                env=ENVIRONMENT
                | {"PYTHONPATH": "src", "APP_HOST": "127.0.0.1", "APP_PORT": str(self.port)}
                | self._settings
                | settings,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the service does not start:\n{log.read_text()}", pytrace=False)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def publish(self, channel: str, text: str) -> None:
        """Say something as another server."""
        path = f"/api/channels/{channel}/messages"
        self._post_json(path, {"data": {"text": text}}, **{"X-API-Key": API_KEY})

    def register(self, username: str, password: str) -> None:
        """Give somebody an account."""
        self._post_json("/auth/register", {"username": username, "password": password})

    def go_on(self, refresh_token: str) -> int:
        """Use a refresh token, as who stole it would; the status of the answer."""
        try:
            self._post_json("/auth/refresh", {"refresh_token": refresh_token})
        except HTTPError as refused:
            return refused.code
        return 200

    def token(
        self,
        user: str,
        seconds: float = 3600,
        digest: Callable[..., Any] = hashlib.sha256,
        **changed: object,
    ) -> str:
        """A token of this service's for somebody, with some of its claims changed."""
        now = time.time()
        claims = {"sub": user, "name": user, "iat": now, "exp": now + seconds, "jti": uuid4().hex}
        claims["iss"] = self._settings.get("APP_JWT_ISSUER", "")
        claims["aud"] = self._settings.get("APP_JWT_AUDIENCE", "")
        header = {"alg": f"HS{digest().digest_size * 8}", "typ": "at+jwt", "kid": "own"}
        said = {name: claim for name, claim in (claims | changed).items() if claim != ""}
        body = ".".join(_unpadded(json.dumps(each).encode()) for each in (header, said))
        key = self._settings["APP_JWT_SECRET"].encode()
        return f"{body}.{_unpadded(hmac.digest(key, body.encode(), digest))}"

    def end(self, session: str) -> None:
        """End a connection, as who keeps order."""
        request = urllib.request.Request(
            f"{self.url}/api/connections/{session}", headers={"X-API-Key": API_KEY}, method="DELETE"
        )
        _direct.open(request, timeout=PATIENCE).close()

    def _post_json(self, path: str, body: object, **headers: str) -> Any:
        headers["Content-Type"] = "application/json"
        return self._post(path, json.dumps(body).encode(), headers)

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(self.url + path, body, headers)
        with _direct.open(request, timeout=PATIENCE) as response:
            return json.load(response)

    def _ready(self) -> bool:
        try:
            with _direct.open(f"{self.url}/readyz", timeout=PATIENCE) as response:
                return bool(response.status == 200)
        except OSError:
            return False


class Window:
    """One person's browser window, and everything in it that must not happen."""

    def __init__(self, context: "BrowserContext") -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.outage = False
        """Whether the network, or the service, was away for a while: the browser complains."""
        self.refused = False
        """Whether the service is to say no: the browser complains of that, too."""
        self.problems: list[str] = []
        self.users: list[str] = []
        """Whom the service took this window for, in each `welcome`."""
        self.session = ""
        """What the service calls the newest connection."""
        self.connections = 0
        """How often this window has opened one."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("websocket", self._watch)

    def _hear(self, message: "ConsoleMessage") -> None:
        outage = self.outage and re.search(r"net::ERR_(CONNECTION|INTERNET|SOCKET)", message.text)
        refused = self.refused and re.search(r"status of 4(01|09|22) ", message.text)
        if message.type in ("error", "warning") and not outage and not refused:
            self.problems.append(message.text)

    def _watch(self, connection: "WebSocket") -> None:
        def received(frame: str | bytes) -> None:
            message = json.loads(frame)
            if message["type"] == "welcome":
                self.users.append(message["user"]["id"])
                self.session = message["session"]

        self.connections += 1
        connection.on("framereceived", received)

    def open(self, url: str) -> "Window":
        """Open the page, and return once one can write."""
        from playwright.sync_api import expect

        self.page.goto(url)
        self.is_in("Connected")
        expect(self.page.locator("#text")).to_be_enabled()
        return self

    def is_in(self, state: str) -> None:
        """Wait until the sign at the top says so."""
        from playwright.sync_api import expect

        expect(self.page.locator("#state")).to_have_text(state)

    def say(self, text: str) -> None:
        """Write a message and send it."""
        self.page.locator("#text").fill(text)
        self.page.locator("#text").press("Enter")

    def shows(self, *texts: str) -> None:
        """Wait until exactly these messages are there, in this order, each once."""
        from playwright.sync_api import expect

        expect(self.page.locator("#said .text")).to_have_text(list(texts), use_inner_text=True)
        expect(self.page.locator("#sending li")).to_have_count(0)

    def logs(self, line: str | re.Pattern[str]) -> None:
        """Wait until the log of the connection has such a line."""
        from playwright.sync_api import expect

        expect(self.page.locator("#log li").filter(has_text=line)).not_to_have_count(0)
