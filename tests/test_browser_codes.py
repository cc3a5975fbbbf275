"""What a page sees of a refusal: the close codes and statuses that a real Chromium gives it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from .baking import bake_into
from .browser import API_KEY, Service, open_browser
from .options import CHOICES, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Frame, Page

WELCOME = ("welcome", "")
UNAUTHENTICATED = (4500, "unauthenticated")
EXPIRED = (4100, "credential expired")
SPENT = (4101, "ticket spent")
REVOKED = (4504, "revoked")
REFUSED_BEFORE = (1006, "")
"""All that a page learns of a handshake that was answered with a status: 403, or 431."""

TOKENS = {
    "valid": WELCOME,
    "missing": UNAUTHENTICATED,
    "malformed": UNAUTHENTICATED,
    "forged": UNAUTHENTICATED,
    "expired": EXPIRED,
    "not yet valid": UNAUTHENTICATED,
    "of another issuer": UNAUTHENTICATED,
    "for another service": UNAUTHENTICATED,
    "by another algorithm": UNAUTHENTICATED,
    "oversized": UNAUTHENTICATED,
    "revoked": REVOKED,
}
OUTCOMES: dict[str, dict[str, tuple[object, str]]] = {
    "first_message": {**TOKENS, "missing": (4501, "authentication timed out")},
    "query_token": {**TOKENS, "too long for a URL": REFUSED_BEFORE},
    "ticket": {
        "valid": WELCOME,
        "missing": UNAUTHENTICATED,
        "malformed": SPENT,
        "used": SPENT,
        "of an expired token": EXPIRED,
        "of a revoked token": REVOKED,
    },
    # What is oversized is none here: Chromium keeps no cookie of more than 4 KB.
    "cookie": {kind: seen for kind, seen in TOKENS.items() if kind != "oversized"},
    "none": {
        "missing": WELCOME,
        "valid": WELCOME,
        "malformed": UNAUTHENTICATED,
        "forged": UNAUTHENTICATED,
        "revoked": REVOKED,
    },
}
"""What a page of the service's own origin sees, by mode and by what it shows of its user."""

STATUSES = {kind: 200 if seen is WELCOME else 401 for kind, seen in TOKENS.items()}
"""The same over HTTP, where all modes take a Bearer token."""

CONNECT = """([url, first, welcomes]) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => first.forEach((each) => socket.send(JSON.stringify(each)));
    socket.onmessage = ({data}) => {
        if (JSON.parse(data).type === "welcome" && --welcomes === 0) {
            window.welcomed?.();
            if (!window.stays) resolve(["welcome", ""]);
        }
    };
    socket.onclose = ({code, reason}) => resolve([code, reason]);
    setTimeout(() => resolve(["nothing happened", ""]), 20_000);
})"""
"""What JavaScript is told of a connection: that it is welcome, or how it ended."""

FETCH = """([url, options]) => fetch(url, options).then(({status}) => status, ({name}) => name)"""


class Site(BaseHTTPRequestHandler):
    """Another server on this machine, with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in http.server
        """Keep quiet."""


class Stage:
    """A service in one mode, and what proves somebody to it."""

    def __init__(self, auth: str, service: Service, elsewhere: int) -> None:
        self.auth = auth
        self.service = service
        self.elsewhere = elsewhere
        """The port of the other server."""

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        """Status and answer of a request that no browser made."""
        connection = HTTPConnection("127.0.0.1", self.service.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        with connection.getresponse() as response:
            answer = response.status, json.loads(response.read() or b"null")
        connection.close()
        return answer

    def sign_in(self, digest: Callable[..., Any] = hashlib.sha256, **changed: object) -> str:
        """A token for somebody, with some of its claims changed."""
        return self.service.token("ada", digest=digest, **changed)

    def credential(self, kind: str, page: "Page") -> str:
        """What shows who somebody is, in one of the states that it can be in."""
        if self.auth == "none":
            return self._of_a_guest(kind, page)
        if self.auth == "ticket":
            return self._ticket(kind, page)
        return self.token(kind)

    def token(self, kind: str) -> str:
        """A token in one of its states."""
        match kind:
            case "missing":
                return ""
            case "malformed":
                return "a.b.c"
            case "forged":
                return self.sign_in()[:-6] + "forged"
            case "expired":
                return self.sign_in(exp=time.time() - 60, iat=time.time() - 3600)
            case "not yet valid":
                return self.sign_in(nbf=time.time() + 600)
            case "of another issuer":
                return self.sign_in(iss="https://evil.example")
            case "for another service":
                return self.sign_in(aud="another-service")
            case "by another algorithm":
                return self.sign_in(hashlib.sha512)
            case "oversized":
                return self.sign_in(name="x" * 4000)
            case "too long for a URL":
                return self.sign_in(name="x" * 12_000)
            case "revoked":
                token = self.sign_in()
                self.sign_out(token)
                return token
            case _:
                return self.sign_in()

    def sign_out(self, token: str) -> None:
        """Revoke a token."""
        assert self.ask("DELETE", "/auth/session", Authorization=f"Bearer {token}")[0] == 204

    def _ticket(self, kind: str, page: "Page") -> str:
        if kind in ("missing", "malformed"):
            return {"missing": "", "malformed": "no ticket at all"}[kind]
        ends = time.time() + 2
        token = self.sign_in(exp=ends) if kind == "of an expired token" else self.sign_in()
        status, answer = self.ask("POST", "/auth/ticket", Authorization=f"Bearer {token}")
        assert status == 201
        ticket = str(answer["ticket"])
        if kind == "of an expired token":
            time.sleep(max(ends - time.time(), 0) + 0.1)  # as tokens do, it expires with the clock
        elif kind == "of a revoked token":
            self.sign_out(token)
        elif kind == "used":
            assert self.connect(page, ticket) == WELCOME
        return ticket

    def _of_a_guest(self, kind: str, page: "Page") -> str:
        if kind in ("missing", "malformed"):
            return {"missing": "", "malformed": "no guest"}[kind]
        greeting = """(url) => new Promise((resolve) => {
            new WebSocket(url).onmessage = ({data}) => resolve(JSON.parse(data));
        })"""
        welcome = page.evaluate(greeting, self.ws)
        if kind == "revoked":
            user = welcome["user"]["id"]
            assert self.ask("DELETE", f"/api/connections?user={user}", X_API_Key=API_KEY)[0] == 204
        token = str(welcome["guest_token"])
        return token[:-6] + "forged" if kind == "forged" else token

    @property
    def ws(self) -> str:
        """Where the socket is."""
        return f"ws://127.0.0.1:{self.service.port}/ws"

    def show(self, context: "BrowserContext", shown: str) -> tuple[str, list[dict[str, str]]]:
        """Where to connect, and what to say first, to show it; cookies go into the browser."""
        match self.auth:
            case "query_token":
                return f"{self.ws}?token={shown}", []
            case "ticket":
                return f"{self.ws}?ticket={shown}", []
            case "cookie" if shown:
                cookie = {"name": "session", "value": shown, "url": self.service.url}
                context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Strict"}])
            case "first_message" | "none" if shown:
                return self.ws, [{"type": "auth", "token": shown}]
        return self.ws, []

    def connect(self, page: "Page | Frame", shown: str) -> tuple[object, str]:
        """What a page sees that connects and shows this."""
        context = (page if hasattr(page, "context") else page.page).context
        url, first = self.show(context, shown)
        welcomes = 2 if self.auth == "none" and first else 1
        code, reason = page.evaluate(CONNECT, [url, first, welcomes])
        return code, reason


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of a server of somebody else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def staged(
    browser: "Browser", tools: Path, elsewhere: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Stage]]:
    """A service in each mode, started when it is first asked for."""
    stages: dict[str, Stage] = {}

    def staged(auth: str) -> Stage:
        if auth not in stages:
            project = bake_into(tmp_path_factory.mktemp(f"codes-{auth}"), ROOT, {"auth": auth}).path
            for_us = {"APP_JWT_ISSUER": "https://issuer.example", "APP_JWT_AUDIENCE": "the-service"}
            settings = {"APP_AUTH_SECONDS": "2", **for_us}
            service = Service(tools / "python", project, **settings)
            service.start()
            stages[auth] = Stage(auth, service, elsewhere)
        return stages[auth]

    yield staged
    for stage in stages.values():
        stage.service.kill()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page, with a browser's jar to itself."""
    with ExitStack() as stack:
        context = browser.new_context()
        stack.callback(context.close)
        yield context.new_page()


def own(page: "Page", stage: Stage) -> "Page":
    """A page of the service's own origin, which does nothing by itself."""
    page.goto(f"{stage.service.url}/livez")
    return page


def of_another_port(page: "Page", stage: Stage) -> "Page":
    """A page of the same site, but of another origin: SameSite does not keep cookies from it."""
    page.goto(f"http://127.0.0.1:{stage.elsewhere}/")
    return page


def of_another_site(page: "Page", stage: Stage) -> "Page":
    """A page of another site."""
    page.goto(f"http://localhost:{stage.elsewhere}/")
    return page


def sandboxed(page: "Page", stage: Stage) -> "Frame":
    """A frame in a page of the service's own, whose origin is `null`."""
    own(page, stage)
    page.evaluate("""() => new Promise((resolve) => {
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts allow-forms";
        frame.srcdoc = "<p></p>";
        frame.onload = resolve;
        document.body.append(frame);
    })""")
    frame = page.frames[1]
    assert frame.evaluate("origin") == "null"
    return frame


FOREIGN = [of_another_port, of_another_site, sandboxed]
"""A page without a server (`data:`) is missing: Chromium itself keeps it from this machine."""


def named(function: Callable[..., object]) -> str:
    """What it is called in reports."""
    return function.__name__


CASES = [(auth, kind) for auth, kinds in OUTCOMES.items() for kind in kinds]


def test_every_mode_is_tried() -> None:
    assert list(OUTCOMES) == CHOICES["auth"]


@pytest.mark.parametrize(("auth", "kind"), CASES)
def test_a_page_is_welcome_or_told_why_not(
    auth: str, kind: str, staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    shown = stage.credential(kind, own(page, stage))
    assert stage.connect(page, shown) == OUTCOMES[auth][kind]


@pytest.mark.parametrize("foreign", FOREIGN, ids=named)
@pytest.mark.parametrize("auth", CHOICES["auth"])
def test_a_page_of_another_origin_gets_no_connection_whatever_it_shows(
    auth: str, foreign: Callable[..., Any], staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    shown = stage.credential("valid", own(page, stage))
    assert stage.connect(foreign(page, stage), shown) == REFUSED_BEFORE
    assert stage.connect(own(page, stage), shown) == WELCOME, "it was good, and is not spent"


@pytest.mark.parametrize("auth", CHOICES["auth"])
def test_a_channel_of_somebody_else_is_forbidden_at_its_own_path(
    auth: str, staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    shown = "" if auth == "none" else stage.credential("valid", own(page, stage))
    url, first = stage.show(page.context, shown)
    url = url.replace("/ws", "/ws/user/grace")
    own(page, stage).evaluate("stays = true")
    assert tuple(page.evaluate(CONNECT, [url, first, 1])) == (4508, "forbidden")


@pytest.mark.parametrize("auth", CHOICES["auth"])
def test_a_page_is_told_when_its_user_is_thrown_out(
    auth: str, staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    with staying(page, stage, stage.credential("valid", own(page, stage))) as seen:
        _, listed = stage.ask("GET", "/api/connections", X_API_Key=API_KEY)
        for user in {each["user"]["id"] for each in listed["connections"]}:
            assert stage.ask("DELETE", f"/api/connections?user={user}", X_API_Key=API_KEY)[0] == 204
    assert seen() == REVOKED


@pytest.mark.parametrize("auth", [auth for auth in CHOICES["auth"] if auth != "none"])
def test_a_page_is_told_when_its_token_has_ended(
    auth: str, staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    shown = token = stage.sign_in(exp=time.time() + 2)
    if auth == "ticket":
        shown = stage.ask("POST", "/auth/ticket", Authorization=f"Bearer {token}")[1]["ticket"]
    with staying(own(page, stage), stage, shown) as seen:
        pass
    assert seen() == EXPIRED


@contextmanager
def staying(page: "Page", stage: Stage, shown: str) -> Iterator[Callable[[], tuple[object, str]]]:
    """A page that is connected, and waits for the end; then, what it saw of that."""
    url, first = stage.show(page.context, shown)
    page.evaluate(
        f"""(details) => {{
            window.stays = true;
            const welcome = new Promise((resolve) => {{ window.welcomed = resolve; }});
            window.end = ({CONNECT})(details);
            return Promise.race([welcome, window.end]);
        }}""",
        [url, first, 2 if stage.auth == "none" and first else 1],
    )
    yield lambda: tuple(page.evaluate("end"))


@pytest.mark.parametrize("auth", [auth for auth in CHOICES["auth"] if auth != "none"])
def test_over_http_a_page_sees_a_status(
    auth: str, staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged(auth)
    own(page, stage)
    tokens = {kind: stage.token(kind) for kind in STATUSES}
    path = "/api/channels/chat:lobby/messages"
    assert fetched(page, path, tokens) == STATUSES
    if auth == "ticket":
        exchanged = {kind: 201 if kind == "valid" else 401 for kind in STATUSES}
        assert fetched(page, "/auth/ticket", tokens, method="POST") == exchanged
    if auth == "cookie":
        assert fetched(page, "/auth/session", tokens, method="POST") == STATUSES
        for kind in STATUSES.keys() & OUTCOMES[auth].keys():
            page.context.clear_cookies()
            stage.show(page.context, tokens[kind])
            assert page.evaluate(FETCH, [path, {}]) == STATUSES[kind], kind


def fetched(
    page: "Page", path: str, tokens: Mapping[str, str], method: str = "GET"
) -> dict[str, object]:
    """What a page sees of a request with each of these tokens; no cookie comes along."""
    options = {
        kind: {"headers": {"Authorization": f"Bearer {token}"} if token else {}}
        for kind, token in tokens.items()
    }
    plain = {"method": method, "credentials": "omit"}
    return {kind: page.evaluate(FETCH, [path, plain | each]) for kind, each in options.items()}


def signed_in_by_cookie(page: "Page", stage: Stage) -> None:
    """Have the service itself put a cookie into the browser."""
    options = {"method": "POST", "headers": {"Authorization": f"Bearer {stage.sign_in()}"}}
    assert own(page, stage).evaluate(FETCH, ["/auth/session", options]) == 200
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["path"]) == ("session", "/")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


def test_a_cookie_is_out_of_reach_of_scripts_and_goes_when_one_signs_out(
    staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged("cookie")
    signed_in_by_cookie(page, stage)
    assert page.evaluate("document.cookie") == ""
    with staying(page, stage, "") as seen:
        assert page.evaluate(FETCH, ["/auth/session", {"method": "DELETE"}]) == 204
    assert seen() == REVOKED
    assert page.context.cookies() == []
    assert stage.connect(page, "") == UNAUTHENTICATED


@pytest.mark.parametrize("foreign", FOREIGN, ids=named)
def test_with_a_victims_cookie_in_the_browser_a_foreign_page_gets_nothing(
    foreign: Callable[..., Any], staged: Callable[[str], Stage], page: "Page"
) -> None:
    stage = staged("cookie")
    signed_in_by_cookie(page, stage)
    lobby = f"{stage.service.url}/api/channels/chat:lobby/messages"
    said = stage.ask("GET", "/api/channels/chat:lobby/messages", X_API_Key=API_KEY)
    there = foreign(page, stage)
    assert stage.connect(there, "") == REFUSED_BEFORE
    body = {"method": "POST", "body": '{"data": {"text": "hi"}}', "credentials": "include"}
    for options in ({"credentials": "include"}, body, {**body, "mode": "no-cors"}):
        assert there.evaluate(FETCH, [lobby, options]) in ("TypeError", 0)
    session = f"{stage.service.url}/auth/session"
    for method in ("POST", "DELETE"):
        options = {"method": method, "credentials": "include"}
        assert there.evaluate(FETCH, [session, options]) == "TypeError"
    for target in (lobby, session):
        fresh = page.context.new_page()
        # Within a site the cookie comes along, and only the origin speaks against the page.
        expected = 403 if foreign is of_another_port else 401
        assert submitted(fresh, foreign(fresh, stage), target) == expected
    assert stage.ask("GET", "/api/channels/chat:lobby/messages", X_API_Key=API_KEY) == said
    assert stage.connect(own(page, stage), "") == WELCOME, "nobody signed the victim out"


def submitted(page: "Page", there: "Page | Frame", target: str) -> int:
    """The status of what a form of a page posts, to a window of its own; JSON in disguise."""
    form = """(target) => {
        const form = document.createElement("form");
        Object.assign(form, {method: "post", action: target, enctype: "text/plain"});
        const field = document.createElement("input");
        Object.assign(field, {name: '{"data": {"text": "', value: 'hi"}}'});
        form.append(field);
        document.body.append(form);
        form.submit();
    }"""
    with page.expect_response(target) as answered:
        there.evaluate(form, target)
    return answered.value.status
