"""The browser client against a server that follows a script: what the protocol asks of clients.

The modules are served to an origin without HTTPS, where browsers withhold a part of `crypto`.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

import pytest

from .browser import PATIENCE, open_browser
from .options import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route, WebSocketRoute

T = TypeVar("T")

DEMO = ROOT / "{{cookiecutter.project_slug}}" / "src" / "app" / "http" / "demo"
ORIGIN = "http://demo.test"
HEARTBEAT = {"interval_ms": 25_000, "timeout_ms": 10_000}

START = """async ([mode, accounts, offer]) => {
    const { Client } = await import("/demo/client.js");
    const { Authentication } = await import(`/demo/auth/${mode}.js`);
    const { AccountSignIn } = await import("/demo/accounts/database.js");
    const { DevelopmentSignIn } = await import("/demo/accounts/development.js");
    const askForToken = async () => "pasted";
    const askForAccount = async (offer, why, attempt) => {
        story.push({ type: "asked", why });
        await attempt("/auth/token", "ada", "her password");
    };
    const signIn = accounts
        ? new AccountSignIn(offer, askForAccount, askForToken)
        : new DevelopmentSignIn(askForToken);
    window.story = [];
    window.tell = (target, ...types) => types.forEach((type) =>
        target.addEventListener(type, ({ detail }) => story.push({ ...detail, type })));
    window.signIn = signIn;
    window.client = new Client("/ws", new Authentication(signIn));
    tell(client, "state", "moving", "renewed", "error");
    client.connect();
}"""
FOLLOW = """(channel) => tell(
    window.channel = client.subscribe(channel, { last: 2, presence: true }),
    "subscribed", "message", "signal", "join", "leave", "lag", "presence", "ended")"""
PUBLISH = """(text) => void client.publish("chat:a", { text }).then(
    (done) => story.push({ ...done, type: "published" }),
    (error) => story.push({ type: "refused", code: error.code }))"""


SHOW_PEOPLE = """async () => {
    document.body.innerHTML = "<ul id=people></ul><p id=count></p><p id=typing></p>";
    const { People } = await import("/demo/people.js");
    new People(channel, () => "x");
}"""


class Peer:
    """The server's end of one connection."""

    def __init__(self, route: "WebSocketRoute") -> None:
        self._route = route
        self.url = route.url
        self.said: list[dict[str, Any]] = []
        self.left = False
        route.on_message(lambda text: self.said.append(json.loads(text)))
        route.on_close(lambda code, reason: self._leave())

    def _leave(self) -> None:
        self.left = True

    def send(self, kind: str, /, **fields: Any) -> None:
        self._route.send(json.dumps({"type": kind, **fields, "unknown": {"field": 1}}))

    def push(self, message: dict[str, Any]) -> None:
        self.send("message", **message)

    def welcome(self, user: str = "guest-1", **fields: Any) -> None:
        given = {"guest_token": f"token of {user}", "heartbeat": HEARTBEAT, "limits": {}} | fields
        self.send("welcome", session="s", user={"id": user}, personal="user:x", node="n", **given)

    def close(self, code: int, reason: str = "") -> None:
        self._route.close(code=code, reason=reason)

    def commands(self, kind: str) -> list[dict[str, Any]]:
        return [command for command in self.said if command["type"] == kind]


class Script:
    """A page with a client, and the server's side of everything it does."""

    def __init__(
        self,
        page: "Page",
        mode: str = "none",
        random: float = 0,
        *,
        accounts: bool = False,
        offer: dict[str, bool] | None = None,
        answers: Iterable[int] = (),
    ) -> None:
        self.page = page
        self.peers: list[Peer] = []
        self.tokens: list[str] = []
        self.token_status = 200
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """What was asked to sign in, or to go on, and how."""
        self.answers = list(answers)
        """The statuses of the next answers to that, before all are good."""
        self.shown: list[tuple[str, str]] = []
        """What was asked over HTTP with a token, and with which."""
        self.refusals: list[int] = []
        """The statuses with which the next of these are refused."""
        page.route(f"{ORIGIN}/**", self._serve)
        page.route_web_socket(
            re.compile(r"/ws(\?|$)"), lambda route: self.peers.append(Peer(route))
        )
        page.add_init_script(f"Math.random = () => {random}")
        page.goto(f"{ORIGIN}/")
        self.start(mode, accounts=accounts, offer=offer)

    def start(
        self, mode: str, *, accounts: bool = False, offer: dict[str, bool] | None = None
    ) -> None:
        """Begin with another client."""
        self.page.evaluate(START, [mode, accounts, offer])

    def _serve(self, route: "Route") -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path in ("/auth/token", "/auth/register", "/auth/refresh"):
            self._give(path, route)
        elif path.startswith("/auth/"):
            self.shown.append((path, route.request.headers["authorization"]))
            status = self.refusals.pop(0) if self.refusals else 200
            route.fulfill(status=status, json={"ticket": f"ticket {len(self.shown)}"})
        elif path == "/":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=DEMO / path.removeprefix("/demo/"))

    def _give(self, path: str, route: "Route") -> None:
        said = route.request.post_data or ""
        body = dict(parse_qsl(said)) if path == "/auth/token" else json.loads(said)
        self.asked.append((path, body))
        status = self.answers.pop(0) if self.answers else self.token_status
        if status == 0:
            return route.abort()
        number = len(self.tokens) + 1 if status == 200 else 0
        if number:
            self.tokens.append(f"token {number}")
        token = {"access_token": f"token {number}", "refresh_token": f"refresh {number}"}
        return route.fulfill(status=status, json={**token, "expires_in": 3600})

    def until(self, found: Callable[[], T]) -> T:
        """What is found at last; the browser goes on meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while not (result := found()):
            assert time.monotonic() < deadline, f"in vain: {self.page.evaluate('story')}"
            self.page.wait_for_timeout(5)
        return result

    def story(self, kind: str) -> list[dict[str, Any]]:
        """The client's events of this type so far."""
        events: list[dict[str, Any]] = self.page.evaluate("story")
        return [event for event in events if event["type"] == kind]

    def event(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Wait for the newest event of this type to say this."""

        def found() -> dict[str, Any] | None:
            events = self.story(kind)
            return events[-1] if events and fields.items() <= events[-1].items() else None

        return self.until(found)

    def peer(self, number: int) -> Peer:
        """Wait for a connection, counted from zero."""
        self.until(lambda: len(self.peers) > number)
        return self.peers[number]

    def command(self, peer: Peer, kind: str, number: int = 0) -> dict[str, Any]:
        """Wait for a command on a connection."""
        return self.until(lambda: peer.commands(kind)[number:])[0]

    def connect(self, number: int = 0) -> Peer:
        """Let a connection of a guest succeed, who comes back from the second one on."""
        peer = self.peer(number)
        peer.welcome("guest-1" if number == 0 else "guest-new")
        if number:
            peer.welcome(id=self.command(peer, "auth")["id"])
        self.event("state", state="connected")
        return peer

    def follow(self, peer: Peer, *messages: dict[str, Any], offset: int = 0) -> None:
        """Let the client subscribe to `chat:a`."""
        self.page.evaluate(FOLLOW, "chat:a")
        self.subscribed(peer, *messages, offset=offset)
        self.event("subscribed")

    def subscribed(
        self,
        peer: Peer,
        *messages: dict[str, Any],
        epoch: str = "e",
        offset: int = 0,
        **fields: Any,
    ) -> dict[str, Any]:
        """Answer a subscribe command, and give it."""
        command = self.command(peer, "subscribe")
        standing = {"channel": "chat:a", "epoch": epoch, "offset": offset, "messages": messages}
        peer.send("subscribed", id=command["id"], **standing, **fields)
        return command

    def offsets(self) -> list[tuple[str, int]]:
        """Where the messages stood that the client gave out."""
        return [(event["epoch"], event["offset"]) for event in self.story("message")]


def message(offset: int, epoch: str = "e", **fields: Any) -> dict[str, Any]:
    """A message of `chat:a`."""
    place = {"type": "message", "channel": "chat:a", "epoch": epoch, "offset": offset}
    return place | {"message_id": f"{epoch}{offset}", "from": {"id": "x"}, "data": {}} | fields


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def script(page: "Page") -> Script:
    return Script(page)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 4500, 4501, 4503, 4505, 4508, 4999])
def test_it_stays_away_after_a_final_code(script: Script, code: int) -> None:
    peer = script.connect()
    script.page.evaluate("sessionStorage.clear()")  # no earlier guest whose token was to blame
    peer.close(code, "for a reason")
    script.event("state", state="closed", code=code, reason="for a reason")
    assert len(script.peers) == 1
    script.page.evaluate("client.connect()")
    script.peer(1)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 4000, 4002, 4100, 4202, 4399])
def test_it_comes_back_after_any_other_code(script: Script, code: int) -> None:
    peer = script.connect()
    peer.close(code)
    script.peer(1)


def test_delays_double_below_a_ceiling_and_are_drawn_at_random(script: Script) -> None:
    delays = """async (share) => {
        const { Backoff } = await import("/demo/backoff.js");
        const backoff = new Backoff({ random: () => share });
        const delays = Array.from({ length: 8 }, () => backoff.next());
        backoff.reset();
        return [...delays, backoff.next()];
    }"""
    most = [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000, 500]
    assert script.page.evaluate(delays, 1) == most
    assert script.page.evaluate(delays, 0.25) == [delay / 4 for delay in most]


def test_the_delay_begins_anew_after_ten_good_seconds(page: "Page") -> None:
    page.clock.install()
    script = Script(page, random=1)
    expected = [500, 1000, 2000, 500]
    for number, (seconds, delay) in enumerate(zip((0, 0, 9, 10), expected, strict=True)):
        peer = script.connect(number)
        page.clock.fast_forward(seconds * 1000)
        peer.close(1006)
        event = script.event("state", state="waiting")
        assert event["delay"] == pytest.approx(delay, abs=100)
        page.clock.fast_forward(delay)


def test_the_server_says_how_long_to_stay_away(script: Script) -> None:
    peer = script.connect()
    peer.send("error", code="rate_limited", message="", retryable=True, retry_after_ms=60_000)
    peer.close(4200)
    waiting = script.event("state", state="waiting", code=4200)
    assert waiting["delay"] == pytest.approx(60_000, abs=1_000)
    script.page.evaluate("dispatchEvent(new Event('online'))")
    script.peer(1)


def test_nobody_comes_back_in_the_same_moment_as_all_who_were_told_the_same(page: "Page") -> None:
    script = Script(page, random=0.5)
    peer = script.connect()
    peer.send("error", code="rate_limited", message="", retryable=True, retry_after_ms=60_000)
    peer.close(4200)
    waiting = script.event("state", state="waiting", code=4200)
    assert waiting["delay"] == pytest.approx(60_250, abs=100)


def test_the_refusal_of_one_command_does_not_say_when_to_come_back(page: "Page") -> None:
    page.clock.install()
    script = Script(page, random=1)
    peer = script.connect()
    error = {"code": "rate_limited", "message": "", "retryable": True, "retry_after_ms": 60_000}
    peer.send("error", id=1, **error)
    peer.close(4200)
    waiting = script.event("state", state="waiting", code=4200)
    assert waiting["delay"] == pytest.approx(500, abs=100)


def test_it_recovers_from_what_it_has_processed_and_drops_what_it_knows(script: Script) -> None:
    one = script.connect()
    script.follow(one, message(3), message(4), offset=4)
    assert "since" not in one.commands("subscribe")[0]
    one.push(message(5))
    one.push(message(5))
    script.until(lambda: script.offsets() == [("e", 3), ("e", 4), ("e", 5)])
    one.close(1006)

    two = script.connect(1)
    command = script.subscribed(two, message(5), message(6), offset=6, recovered=True)
    assert command["since"] == {"epoch": "e", "offset": 5}
    two.push(message(6))
    two.push(message(7))
    script.until(lambda: script.offsets()[-1] == ("e", 7))
    assert script.offsets() == [("e", offset) for offset in (3, 4, 5, 6, 7)]
    told = script.story("subscribed")[-1]
    assert (told["first"], told["recovered"], told["missed"]) == (False, True, 1)


def test_it_says_when_history_began_anew_and_goes_on_from_there(script: Script) -> None:
    one = script.connect()
    script.follow(one, message(8), message(9), offset=9)
    one.close(1006)
    two = script.connect(1)
    lost = {"recovered": False, "reason": "epoch_changed"}
    script.subscribed(two, message(1, "f"), message(2, "f"), epoch="f", offset=2, **lost)
    script.event("subscribed", **lost, missed=2)
    two.close(1006)
    three = script.connect(2)
    assert script.command(three, "subscribe")["since"] == {"epoch": "f", "offset": 2}
    assert script.offsets() == [("e", 8), ("e", 9), ("f", 1), ("f", 2)]


def test_a_subscription_is_restated_without_being_asked(script: Script) -> None:
    peer = script.connect()
    script.follow(peer, offset=2)
    standing = {"channel": "chat:a", "epoch": "e", "offset": 50, "messages": []}
    peer.send("subscribed", **standing, recovered=False, reason="too_far")
    script.event("subscribed", recovered=False, reason="too_far", first=False)
    peer.push(message(50))
    peer.push(message(51))
    script.event("message", offset=51)
    assert script.offsets() == [("e", 51)]


def test_what_is_not_kept_is_never_a_repeat(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate(FOLLOW, "echo:a")
    command = script.command(peer, "subscribe")
    peer.send("subscribed", id=command["id"], channel="echo:a", messages=[])
    for _ in range(2):
        peer.send("message", channel="echo:a", message_id="m", **{"from": {"id": "x"}}, data=1)
    script.until(lambda: len(script.story("message")) == 2)
    peer.close(1006)
    assert "since" not in script.command(script.connect(1), "subscribe")


def test_a_publication_keeps_its_key_until_the_answer_is_final(script: Script) -> None:
    one = script.connect()
    script.page.evaluate(PUBLISH, "hello")
    key = script.command(one, "publish")["key"]
    assert len(key) == 32
    one.close(1006)

    two = script.connect(1)
    again = script.command(two, "publish")
    refusal = {"code": "overloaded", "message": "", "retryable": True, "retry_after_ms": 1}
    two.send("error", id=again["id"], **refusal)
    last = script.command(two, "publish", 1)
    two.send("ok", id=last["id"], channel="chat:a", epoch="e", offset=1, duplicate=True)
    script.event("published", offset=1, duplicate=True)
    assert {again["key"], last["key"]} == {key}

    script.page.evaluate(PUBLISH, "")
    wrong = script.command(two, "publish", 2)
    two.send("error", id=wrong["id"], code="invalid_message", message="", retryable=False)
    script.event("refused", code="invalid_message")
    assert wrong["key"] != key
    assert len(two.commands("publish")) == 3


def test_publications_of_a_channel_keep_their_order(script: Script) -> None:
    one = script.connect()
    for text in "abc":
        script.page.evaluate(PUBLISH, text)
    script.command(one, "publish")
    one.close(1006)
    two = script.connect(1)
    for number, text in enumerate("abc"):
        command = script.command(two, "publish", number)
        assert (command["data"]["text"], len(two.commands("publish"))) == (text, number + 1)
        two.send("ok", id=command["id"], channel="chat:a", epoch="e", offset=number + 1)


def test_after_five_minutes_it_does_not_risk_to_publish_twice(page: "Page") -> None:
    page.clock.install()
    script = Script(page)
    one = script.connect()
    page.evaluate(PUBLISH, "hello")
    script.command(one, "publish")
    one.send("error", code="rate_limited", message="", retryable=True, retry_after_ms=400_000)
    one.close(1006)
    script.event("state", state="waiting")
    page.clock.fast_forward(400_000)
    two = script.connect(1)
    script.event("refused", code="timeout")
    assert two.commands("publish") == []


def test_a_silent_server_is_dead(page: "Page") -> None:
    page.clock.install()
    script = Script(page)
    peer = script.connect()
    for number in range(1, 4):
        page.clock.fast_forward(34_000)
        peer.send("ping")
        script.until(lambda number=number: len(peer.commands("pong")) == number)
    page.clock.fast_forward(34_000)
    assert script.story("state")[-1]["state"] == "connected"
    page.clock.fast_forward(1_000)
    script.peer(1)
    reasons = [event["reason"] for event in script.story("state") if event["state"] == "waiting"]
    assert reasons == ["the server is silent"]


def test_it_asks_for_a_sign_of_life_when_the_browser_goes_offline(page: "Page") -> None:
    page.clock.install()
    script = Script(page)
    peer = script.connect()
    offline = "dispatchEvent(new Event('offline'))"
    page.evaluate(offline)
    peer.send("pong", id=script.command(peer, "ping").get("id"))
    page.clock.fast_forward(3_000)
    assert script.story("state")[-1]["state"] == "connected"
    page.evaluate(offline)
    script.command(peer, "ping", 1)
    page.clock.fast_forward(3_000)
    script.peer(1)


def test_it_moves_without_a_pause_when_asked(script: Script) -> None:
    one = script.connect()
    script.follow(one, offset=1)
    one.send("reconnect", reason="drain", after_ms=0, deadline_ms=5_000)
    two = script.peer(1)
    one.push(message(2))  # the old connection serves until the new one has said welcome
    script.event("message", offset=2)
    assert not one.left
    two.welcome("guest-new")
    two.welcome(id=script.command(two, "auth")["id"])
    script.event("state", state="connected", moved=True)
    script.until(lambda: one.left)
    command = script.subscribed(two, message(3), offset=3, recovered=True)
    assert command["since"] == {"epoch": "e", "offset": 2}
    script.event("message", offset=3)
    states = [event["state"] for event in script.story("state")]
    assert states == ["connecting", "authenticating", "connected", "connected"]


def test_a_failed_move_leaves_the_old_connection(script: Script) -> None:
    one = script.connect()
    script.follow(one, offset=1)
    one.send("reconnect", reason="drain", after_ms=0, deadline_ms=5_000)
    script.peer(1).close(1013)
    three = script.peer(2)
    one.push(message(2))
    script.event("message", offset=2)
    one.close(4000)
    script.event("state", state="connecting")
    three.welcome("guest-new")
    three.welcome(id=script.command(three, "auth")["id"])
    script.event("state", state="connected", moved=False)
    assert script.command(three, "subscribe")["since"] == {"epoch": "e", "offset": 2}
    assert len(script.peers) == 3


def test_it_tries_to_move_until_it_can_and_is_served_meanwhile(script: Script) -> None:
    """As where one process restarts: the node that leaves refuses, and there is no other yet."""
    one = script.connect()
    script.follow(one, offset=1)
    one.send("reconnect", reason="drain", after_ms=0, deadline_ms=5_000)
    for number in range(1, 4):
        script.peer(number).close(1006)
        one.push(message(number + 1))
        script.event("message", offset=number + 1)
        script.page.evaluate(PUBLISH, "hello")
        command = script.command(one, "publish", number - 1)
        one.send("ok", id=command["id"], channel="chat:a", epoch="e", offset=number + 1)
        script.until(lambda number=number: len(script.story("published")) == number)
    one.push(message(5))
    four = script.connect(4)
    script.event("state", state="connected", moved=True)
    script.until(lambda: one.left)
    script.subscribed(four, message(6), offset=6, recovered=True)
    script.event("message", offset=6)
    assert script.offsets() == [("e", offset) for offset in range(2, 7)]
    assert script.command(four, "subscribe")["since"] == {"epoch": "e", "offset": 5}
    assert "waiting" not in {event["state"] for event in script.story("state")}


def test_an_answer_that_is_due_still_comes_after_a_move(script: Script) -> None:
    one = script.connect()
    script.page.evaluate(PUBLISH, "hello")
    command = script.command(one, "publish")
    one.send("reconnect", reason="drain", after_ms=0, deadline_ms=5_000)
    two = script.connect(1)
    script.event("state", moved=True)
    assert not one.left
    one.send("ok", id=command["id"], channel="chat:a", epoch="e", offset=1)
    script.event("published", offset=1)
    script.until(lambda: one.left)
    assert two.commands("publish") == []


def test_a_guest_is_known_before_anything_else_is_said(script: Script) -> None:
    one = script.connect()
    script.follow(one)
    one.close(1006)
    two = script.peer(1)
    two.welcome("guest-new")
    command = script.command(two, "auth")
    assert two.said == [command]
    assert command["token"] == "token of guest-1"
    assert script.story("state")[-1]["state"] == "authenticating"
    two.welcome(id=command["id"])
    script.event("state", state="connected")
    assert script.page.evaluate("client.welcome.user.id") == "guest-1"
    script.command(two, "subscribe")


def test_a_guest_whose_token_is_refused_comes_back_as_another(script: Script) -> None:
    script.connect().close(1006)
    two = script.peer(1)
    two.welcome("guest-2")
    script.command(two, "auth")
    two.close(4500, "unauthenticated")
    three = script.peer(2)
    three.welcome("guest-3")
    script.event("state", state="connected")
    assert three.commands("auth") == []


def test_a_token_is_used_until_it_is_refused(page: "Page") -> None:
    script = Script(page, "first_message")

    def signed_in(number: int) -> Peer:
        peer = script.peer(number)
        peer.welcome("ada", id=script.command(peer, "auth")["id"])
        script.event("state", state="connected")
        return peer

    signed_in(0).close(1006)
    signed_in(1).close(4100, "credential expired")
    two = script.peer(2)
    tokens = [peer.commands("auth")[0]["token"] for peer in script.peers[:2]]
    assert tokens == ["token 1", "token 1"]
    assert script.command(two, "auth")["token"] == "token 2"
    two.close(4500, "unauthenticated")  # it was new: another one would do no better
    script.event("state", state="closed", code=4500)


def test_a_token_about_to_expire_is_renewed_first(page: "Page") -> None:
    page.clock.install()
    script = Script(page, "first_message")
    one = script.peer(0)
    one.welcome("ada", id=script.command(one, "auth")["id"])
    script.event("state", state="connected")
    page.clock.fast_forward(3_590_000)
    two = script.peer(1)  # the silence was too long
    assert script.command(two, "auth")["token"] == "token 2"


def test_the_user_is_asked_where_nobody_signs_in(page: "Page") -> None:
    script = Script(page, "none")
    script.token_status = 404
    script.start("first_message")
    assert script.command(script.peer(1), "auth")["token"] == "pasted"


def test_a_token_stands_in_the_url(page: "Page") -> None:
    script = Script(page, "query_token")
    script.peer(0).welcome("ada")
    script.event("state", state="connected")
    assert script.peers[0].url == "ws://demo.test/ws?token=token+1"


def test_every_connection_has_a_ticket_of_its_own(page: "Page") -> None:
    script = Script(page, "ticket")
    script.peer(0).close(4101, "ticket spent")
    script.peer(1).welcome("ada")
    script.event("state", state="connected")
    script.peers[1].close(1006)
    urls = [script.peer(number).url.partition("?")[2] for number in range(3)]
    assert urls == ["ticket=ticket+1", "ticket=ticket+2", "ticket=ticket+3"]
    assert script.shown == [("/auth/ticket", "Bearer token 1")] * 3


@pytest.mark.parametrize("mode", ["ticket", "cookie"])
def test_a_new_token_that_is_refused_over_http_is_the_end(page: "Page", mode: str) -> None:
    script = Script(page, "none")
    script.refusals += [503, 401]
    script.start(mode)
    script.event("state", state="closed", code=4500)
    assert len(script.peers) == 1  # the guest's
    assert len(script.shown) == 2


def test_a_cookie_is_kept_and_nothing_that_a_script_can_read(page: "Page") -> None:
    script = Script(page, "cookie")
    script.peer(0).welcome("ada")
    script.event("state", state="connected")
    assert script.shown == [("/auth/session", "Bearer token 1")]
    script.peers[0].close(1006)
    script.peer(1)
    assert len(script.shown) == 1
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "token 1" not in kept


def signed_in(page: "Page", mode: str) -> tuple[Script, Peer]:
    """A client that has signed in, and its connection."""
    script = Script(page, mode)
    peer = script.peer(0)
    answers = {"id": script.command(peer, "auth")["id"]} if mode == "first_message" else {}
    peer.welcome("ada", **answers)
    script.event("state", state="connected")
    return script, peer


@pytest.mark.parametrize(
    ("mode", "shown"),
    [("first_message", "token 2"), ("query_token", "token 2"), ("ticket", "ticket 2")],
)
def test_before_its_credential_ends_it_shows_another(page: "Page", mode: str, shown: str) -> None:
    script, peer = signed_in(page, mode)
    peer.send("expiring", in_ms=60_000)
    command = script.command(peer, "refresh")
    assert command["token"] == shown
    peer.send("ok", id=command["id"], expires_at=None)
    script.event("renewed")
    peer.close(4500, "unauthenticated")  # another one may do, since this one was good
    script.peer(1)
    assert len(script.tokens) == 3


def test_with_another_cookie_it_moves_to_another_connection(page: "Page") -> None:
    script, one = signed_in(page, "cookie")
    script.follow(one, offset=1)
    one.send("expiring", in_ms=60_000)
    two = script.peer(1)
    assert script.shown[-1] == ("/auth/session", "Bearer token 2")
    one.push(message(2))
    script.event("message", offset=2)
    assert not one.left
    two.welcome("ada")
    script.event("state", state="connected", moved=True)
    script.until(lambda: one.left)
    assert script.command(two, "subscribe")["since"] == {"epoch": "e", "offset": 2}
    assert len(script.story("renewed")) == 1


def test_what_may_pass_is_tried_again_before_the_credential_ends(page: "Page") -> None:
    script, peer = signed_in(page, "ticket")
    script.refusals.append(503)
    peer.send("expiring", in_ms=60_000)
    command = script.command(peer, "refresh")
    refusal = {"code": "unavailable", "message": "", "retryable": True, "retry_after_ms": 1}
    peer.send("error", id=command["id"], **refusal)
    command = script.command(peer, "refresh", 1)
    peer.send("ok", id=command["id"], expires_at=None)
    script.event("renewed")


def test_a_refused_refresh_is_not_tried_again(page: "Page") -> None:
    script, peer = signed_in(page, "first_message")
    peer.send("expiring", in_ms=60_000)
    command = script.command(peer, "refresh")
    peer.send("error", id=command["id"], code="unauthenticated", message="", retryable=False)
    page.evaluate(PUBLISH, "hello")
    script.command(peer, "publish")
    peer.close(4100, "credential expired")
    assert script.command(script.peer(1), "auth")["token"] == "token 3"
    assert len(peer.commands("refresh")) == 1
    assert script.story("renewed") == []


MADE_UP = {"registration": True, "made_up": True}
"""What development offers; in production nobody is made up."""
HERSELF = {"registration": True, "made_up": False}


def welcomed(script: Script, number: int = 0) -> Peer:
    """Let a connection succeed that sends its token first."""
    peer = script.peer(number)
    peer.welcome("ada", id=script.command(peer, "auth")["id"])
    script.event("state", state="connected")
    return peer


def renews(script: Script, peer: Peer, number: int = 0) -> dict[str, Any]:
    """Have a connection show another token."""
    peer.send("expiring", in_ms=60_000)
    command = script.command(peer, "refresh", number)
    peer.send("ok", id=command["id"], expires_at=None)
    script.until(lambda: len(script.story("renewed")) > number)
    return command


def test_somebody_is_made_up_whose_name_is_not_taken(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP, answers=[409, 409])
    welcomed(script)
    paths, bodies = zip(*script.asked, strict=True)
    assert paths == ("/auth/register",) * 3
    assert len({body["username"] for body in bodies}) == 3
    assert len({body["password"] for body in bodies}) == 1
    assert script.story("asked") == []
    page.reload()
    script.start("first_message", accounts=True, offer=MADE_UP)
    assert script.command(script.peer(1), "auth")["token"] == "token 1"
    assert len(script.asked) == 3


def test_it_goes_on_by_one_refresh_token_after_another(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    peer = welcomed(script)
    assert [renews(script, peer, number)["token"] for number in range(2)] == ["token 2", "token 3"]
    assert script.asked[1:] == [
        ("/auth/refresh", {"refresh_token": "refresh 1"}),
        ("/auth/refresh", {"refresh_token": "refresh 2"}),
    ]


def test_whoever_asks_at_the_same_time_uses_a_refresh_token_once(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    welcomed(script)
    page.evaluate("Promise.all([signIn.renew(), signIn.renew(), signIn.renew()])")
    assert script.asked[1:] == [("/auth/refresh", {"refresh_token": "refresh 1"})]


def test_tabs_that_share_what_is_kept_use_a_refresh_token_once(browser: "Browser") -> None:
    """Over HTTPS, where tabs can wait for each other; what one stores, another sees late."""
    origin, asked = ORIGIN.replace("http:", "https:"), list["Route"]()
    renew = """async () => {
        const { AccountSignIn } = await import("/demo/accounts/database.js");
        const signIn = new AccountSignIn({ registration: true, made_up: true });
        signIn.storage = localStorage;
        window.renewed = signIn.renew();
    }"""
    is_late = """() => {
        const [now, before] = [Storage.prototype.getItem, { ...localStorage }];
        Storage.prototype.getItem = (key) => before[key] ?? null;
        window.catchUp = () => {
            Storage.prototype.getItem = now;
            dispatchEvent(new StorageEvent("storage"));
        };
    }"""
    token = {"access_token": "token 2", "refresh_token": "refresh 2", "expires_in": 3600}

    def serve(route: "Route") -> None:
        path = route.request.url.removeprefix(origin)
        if path.startswith("/auth/"):
            asked.append(route)
            if len(asked) > 1:
                route.fulfill(json=token)
        elif path == "/":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=DEMO / path.removeprefix("/demo/"))

    def until(found: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not found():
            assert time.monotonic() < deadline, asked
            tabs[0].wait_for_timeout(5)

    def locks(state: str) -> list[str]:
        names = f"navigator.locks.query().then((all) => all.{state}.map(({{ name }}) => name))"
        return list(tabs[0].evaluate(names))

    context = browser.new_context()
    context.route(f"{origin}/**", serve)
    tabs = [context.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(origin)
    tabs[0].evaluate("""localStorage.credentials = '{"refresh": "refresh 1"}'""")
    until(lambda: tabs[1].evaluate("'credentials' in localStorage"))
    tabs[1].evaluate(is_late)
    tabs[0].evaluate(renew)
    until(lambda: len(asked) == 1)
    tabs[1].evaluate(renew)
    until(lambda: locks("pending") == ["turn"])
    asked[0].fulfill(json=token)
    assert tabs[0].evaluate("renewed")
    until(lambda: "turn" in locks("held") or len(asked) > 1)
    tabs[1].evaluate("catchUp()")
    assert tabs[1].evaluate("renewed")
    assert [route.request.post_data_json for route in asked] == [{"refresh_token": "refresh 1"}]
    context.close()


def test_a_refresh_whose_answer_was_lost_is_tried_again(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    peer = welcomed(script)
    script.answers = [0, 503]
    assert renews(script, peer)["token"] == "token 2"
    assert script.asked[1:] == [("/auth/refresh", {"refresh_token": "refresh 1"})] * 3


def test_a_refresh_token_is_kept_also_if_the_token_beside_it_reaches_nobody(page: "Page") -> None:
    script = Script(page, "cookie", accounts=True, offer=MADE_UP)
    peer = script.peer(0)
    peer.welcome("ada")
    script.event("state", state="connected")
    script.refusals.append(503)
    peer.send("expiring", in_ms=60_000)
    script.event("renewed")
    assert script.asked[1:] == [
        ("/auth/refresh", {"refresh_token": "refresh 1"}),
        ("/auth/refresh", {"refresh_token": "refresh 2"}),
    ]


def test_after_a_refused_refresh_who_was_made_up_signs_in_again(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    peer = welcomed(script)
    (_, account), script.answers = script.asked[0], [401]
    renews(script, peer)
    path, form = script.asked[-1]
    assert (path, form) == ("/auth/token", {"grant_type": "password"} | account)
    assert script.story("asked") == []


def test_who_was_made_up_is_registered_again_where_the_service_forgot(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    peer = welcomed(script)
    script.answers = [401, 401]
    peer.close(4500, "unauthenticated")
    assert script.command(script.peer(1), "auth")["token"] == "token 2"
    assert [path for path, _ in script.asked[1:]] == [
        "/auth/refresh",
        "/auth/token",
        "/auth/register",
    ]
    assert script.asked[-1] == script.asked[0]


def test_who_said_a_password_is_asked_again_when_the_session_has_ended(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=HERSELF)
    peer = welcomed(script)
    assert [event["why"] for event in script.story("asked")] == [""]
    assert "her password" not in page.evaluate("JSON.stringify({...sessionStorage})")
    script.answers = [401]
    peer.send("expiring", in_ms=60_000)
    script.until(lambda: len(script.asked) == 2)
    assert (peer.commands("refresh"), len(script.story("asked"))) == ([], 1)
    peer.close(4100, "credential expired")
    assert script.command(script.peer(1), "auth")["token"] == "token 2"
    assert [event["why"] for event in script.story("asked")] == ["", "Your session has ended."]


def test_who_was_made_up_is_forgotten_once_somebody_says_a_name(page: "Page") -> None:
    made_up = "{username: 'Ruby Wren 10', password: 'made up'}"
    page.add_init_script(f"sessionStorage.credentials ??= JSON.stringify({made_up})")
    script = Script(page, "first_message", accounts=True, offer=HERSELF, answers=[401])
    welcomed(script)
    assert [body["username"] for _, body in script.asked] == ["Ruby Wren 10", "ada"]
    assert "made up" not in page.evaluate("sessionStorage.credentials")


def test_who_signs_out_is_asked_before_anybody_is_made_up_again(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True, offer=MADE_UP)
    peer = welcomed(script)
    page.evaluate("signIn.signOut()")
    assert script.shown == [("/auth/session", "Bearer token 1")]
    peer.close(4504, "revoked")
    script.event("state", state="closed", code=4504)
    page.evaluate("client.connect()")
    assert script.command(script.peer(1), "auth")["token"] == "token 2"
    assert [event["why"] for event in script.story("asked")] == ["You are signed out."]


def test_beside_an_identity_provider_a_token_is_pasted(page: "Page") -> None:
    script = Script(page, "first_message", accounts=True)
    assert script.command(script.peer(0), "auth")["token"] == "pasted"
    assert script.asked == []


@pytest.mark.parametrize("mode", ["none", "first_message"])
def test_who_can_get_no_other_credential_says_nothing(page: "Page", mode: str) -> None:
    """A guest, and a user who pasted a token."""
    page.add_init_script("sessionStorage.credentials = JSON.stringify({token: 't', pasted: true})")
    script, peer = signed_in(page, mode)
    peer.send("expiring", in_ms=60_000)
    page.evaluate(PUBLISH, "hello")
    script.command(peer, "publish")
    assert (peer.commands("refresh"), script.tokens) == ([], [])


def test_who_was_sent_away_signs_in_anew_when_asked_to_connect(page: "Page") -> None:
    script, peer = signed_in(page, "first_message")
    peer.close(4504, "revoked")
    script.event("state", state="closed", code=4504)
    page.evaluate("client.connect()")
    assert script.command(script.peer(1), "auth")["token"] == "token 2"


def test_a_guest_who_was_sent_away_stays_away_and_is_the_same_when_asked_to_connect(
    script: Script,
) -> None:
    script.connect().close(4504, "revoked")
    script.event("state", state="closed", code=4504)
    assert len(script.peers) == 1
    script.page.evaluate("client.connect()")
    two = script.connect(1)
    assert two.commands("auth")[0]["token"] == "token of guest-1"


def test_what_the_server_ended_is_not_joined_again(script: Script) -> None:
    peer = script.connect()
    script.follow(peer)
    peer.send("unsubscribed", channel="chat:a", reason="policy changed")
    script.event("ended", code="unsubscribed", message="policy changed")
    peer.close(1006)
    assert script.connect(1).commands("subscribe") == []


def test_refused_subscriptions_end_and_others_are_asked_for_again(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate(FOLLOW, "chat:a")
    first = script.command(peer, "subscribe")
    peer.send("error", id=first["id"], code="unavailable", message="", retryable=True)
    second = script.command(peer, "subscribe", 1)
    peer.send("error", id=second["id"], code="forbidden", message="not yours", retryable=False)
    script.event("ended", code="forbidden", message="not yours")
    peer.close(1006)
    assert script.connect(1).commands("subscribe") == []


def test_nothing_comes_after_leaving(script: Script) -> None:
    peer = script.connect()
    script.follow(peer)
    script.page.evaluate("client.unsubscribe(channel)")
    script.command(peer, "unsubscribe")
    peer.push(message(1))
    script.page.evaluate(FOLLOW, "chat:a")
    again = script.command(peer, "subscribe", 1)
    peer.push(message(2))  # still meant for the first subscription
    peer.send("signal", channel="chat:a", kind="typing", **{"from": {"id": "x"}})
    standing = {"channel": "chat:a", "epoch": "e", "offset": 2, "messages": []}
    peer.send("subscribed", id=again["id"], **standing)
    peer.push(message(3))
    script.event("message", offset=3)
    assert script.offsets() == [("e", 3)]
    assert script.story("signal") == []
    peer.send("unsubscribed", channel="chat:a", reason="closed")
    script.event("ended", message="closed")


def test_who_is_here_is_kept(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate(FOLLOW, "chat:a")
    script.subscribed(peer, presence={"users": [{"id": "a"}, {"id": "b"}], "count": 2})
    peer.send("join", channel="chat:a", user={"id": "c"}, count=3)
    peer.send("leave", channel="chat:a", user={"id": "a"}, count=2)
    peer.send("signal", channel="chat:a", kind="typing", **{"from": {"id": "c"}})
    script.event("signal", kind="typing")
    assert script.page.evaluate("[...channel.members.keys()]") == ["b", "c"]


def test_who_is_here_is_asked_again_after_a_lag(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate(FOLLOW, "chat:a")
    script.page.evaluate(SHOW_PEOPLE)
    script.subscribed(peer, presence={"users": [{"id": "a"}, {"id": "b"}], "count": 2})
    peer.send("lag", channel="chat:a", behind=3)
    refused = script.command(peer, "presence")
    refusal = {"code": "overloaded", "message": "", "retryable": True, "retry_after_ms": 1}
    peer.send("error", id=refused["id"], **refusal)
    command = script.command(peer, "presence", 1)
    here = {"users": [{"id": "b"}, {"id": "c"}], "count": 7}
    peer.send("presence", id=command["id"], channel="chat:a", **here)
    script.event("presence", count=7)
    names = script.page.locator("#people li > span:last-of-type")
    script.until(lambda: names.all_text_contents() == ["b", "c"])
    peer.send("join", channel="chat:a", user={"id": "d"}, count=8)
    script.event("join", count=8)
    assert script.page.evaluate("[...channel.members.keys()]") == ["b", "c", "d"]
    kinds = [event["type"] for event in script.page.evaluate("story")]
    assert kinds[-4:] == ["subscribed", "lag", "presence", "join"]


def test_who_is_here_is_taken_from_the_service_where_it_says_so_unasked(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate(FOLLOW, "chat:a")
    script.page.evaluate(SHOW_PEOPLE)
    script.subscribed(peer, presence={"users": [{"id": "a"}, {"id": "b"}], "count": 2})
    peer.send("presence", channel="chat:a", users=[{"id": "b"}, {"id": "c"}], count=2)
    names = script.page.locator("#people li > span:last-of-type")
    script.until(lambda: names.all_text_contents() == ["b", "c"])


def test_who_did_not_ask_who_is_here_does_not_after_a_lag(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate("tell(client.subscribe('chat:a'), 'lag')")
    script.subscribed(peer)
    peer.send("lag", channel="chat:a", behind=3)
    script.event("lag", behind=3)
    script.page.evaluate(PUBLISH, "hello")
    script.command(peer, "publish")
    assert peer.commands("presence") == []


def test_what_is_unknown_is_ignored(script: Script) -> None:
    peer = script.connect()
    script.follow(peer)
    peer.send("news", channel="chat:a", offset=7)
    peer.send("news")
    peer.send("ok", id=12345)
    peer.push(message(1))
    script.event("message", offset=1)


def test_a_command_without_an_answer_fails(page: "Page") -> None:
    page.clock.install()
    script = Script(page)
    peer = script.connect()
    page.evaluate("""void client.history("chat:a").catch(
        (error) => story.push({ type: "failed", code: error.code, retryable: error.retryable }))""")
    script.command(peer, "history")
    page.clock.fast_forward(15_000)
    script.event("failed", code="timeout", retryable=True)


ASK = """(times) => { for (let i = 0; i < times; i++) void client.history("chat:a").catch(
    (error) => story.push({ type: "failed", code: error.code })) }"""
SLOW = {"commands_per_second": 0.1, "commands_burst": 5}  # of which 4 and 0.08 are used
NEXT_MS = 12_500


def slowly(page: "Page") -> tuple[Script, Peer]:
    """A client that has used up what it may say at once, on a clock that stands still."""
    page.clock.install()
    script = Script(page)
    peer = script.peer(0)
    peer.welcome(limits=SLOW)
    script.event("state", state="connected")
    script.page.evaluate(FOLLOW, "chat:a")
    script.subscribed(peer)
    script.event("subscribed")
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)
    page.evaluate(ASK, 4)
    script.command(peer, "history", 3)
    return script, peer


def test_commands_are_spread_and_wait_for_their_answers_from_then_on(page: "Page") -> None:
    script, peer = slowly(page)
    page.evaluate(ASK, 2)
    page.evaluate("client.signal('chat:a', 'typing')")
    page.evaluate("void client.subscribe('chat:b')")
    joining = script.command(peer, "subscribe", 1)
    peer.send("subscribed", id=joining["id"], channel="chat:b", messages=[])
    for number in (4, 5):
        peer.send("ping")
        script.command(peer, "pong", number - 4)
        assert len(peer.commands("history")) == number
        page.clock.fast_forward(NEXT_MS)
        script.command(peer, "history", number)
    assert peer.commands("signal") == []
    assert len(script.story("failed")) == 4
    peer.send("ping")
    script.command(peer, "pong", 2)
    page.clock.fast_forward(NEXT_MS)
    script.command(peer, "signal")


def test_who_comes_back_before_its_leaving_was_sent_stays(page: "Page") -> None:
    script, peer = slowly(page)
    page.evaluate("client.unsubscribe(channel)")
    page.evaluate(FOLLOW, "chat:a")
    early = script.command(peer, "subscribe", 1)
    refusal = {"code": "already_subscribed", "message": "", "retryable": False}
    peer.send("error", id=early["id"], **refusal)
    for number in range(2):
        peer.send("ping")
        script.command(peer, "pong", number)
        page.clock.fast_forward(NEXT_MS)
        left = script.command(peer, "unsubscribe", number)
        assert len(peer.commands("subscribe")) == 2
        peer.send("ok" if number == 0 else "error", id=left["id"], code="not_subscribed")
    peer.send("ping")
    script.command(peer, "pong", 2)
    page.clock.fast_forward(1)
    script.command(peer, "subscribe", 2)


def test_not_all_who_wait_for_the_same_budget_try_again_at_once(page: "Page") -> None:
    page.clock.install()
    script = Script(page, random=0.5)
    peer = script.connect()
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)
    page.evaluate(PUBLISH, "hello")
    error = {"code": "rate_limited", "message": "", "retryable": True, "retry_after_ms": 10_000}
    peer.send("error", id=script.command(peer, "publish")["id"], **error)
    peer.send("ping")
    script.command(peer, "pong")
    page.clock.fast_forward(10_249)
    page.evaluate("client.signal('chat:a', 'typing')")
    script.command(peer, "signal")
    assert len(peer.commands("publish")) == 1
    page.clock.fast_forward(1)
    script.command(peer, "publish", 1)


def test_what_is_too_large_is_not_sent(script: Script) -> None:
    script.peer(0).welcome(limits={"message_bytes": 200})
    script.event("state", state="connected")
    script.page.evaluate(PUBLISH, "ö" * 100)
    script.event("refused", code="too_large")
    assert script.peers[0].commands("publish") == []


def test_closed_means_closed(script: Script) -> None:
    peer = script.connect()
    script.page.evaluate("client.close()")
    script.event("state", state="closed")
    script.until(lambda: peer.left)
    script.page.evaluate(PUBLISH, "hello")
    script.event("refused", code="closed")
    assert len(script.peers) == 1
