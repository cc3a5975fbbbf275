"""The demo page as people use it: two windows, a real Chromium, a real service."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .baking import bake_into
from .browser import Service, Window, open_browser
from .options import CHOICES, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route

Open = Callable[..., Window]

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}

once = pytest.mark.parametrize("service", CHOICES["auth"][:1], indirect=True)
"""For what does not depend on how a connection proves who it is."""

SIGNED = [auth for auth in CHOICES["auth"] if auth != "none"]
WITHOUT_DATABASE = f"{CHOICES['auth'][0]}-none"
"""A service that keeps neither history nor accounts; all others have the default database."""

signed = pytest.mark.parametrize("service", SIGNED, indirect=True)
without_database = pytest.mark.parametrize("service", [WITHOUT_DATABASE], indirect=True)

PASSWORD = "a password of the tests"
PROVIDER = {"APP_JWT_ISSUER": "https://id.example", "APP_JWT_AUDIENCE": "this-service"}
SIGN = """
import json, sys
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption
from cryptography.hazmat.primitives.serialization import PrivateFormat, PublicFormat
from jose import jwt
key = generate_private_key(SECP256R1())
private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
print(json.dumps([public, jwt.encode(json.loads(sys.argv[1]), private, "ES256")]))
"""
"""Prints the key of an identity provider, and a token that it signed; needs what services need."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def new_service(
    browser: "Browser", tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Service]:
    projects: dict[str, Path] = {}

    def new_service(kind: str, **settings: str) -> Service:
        if kind not in projects:
            auth, _, persistence = kind.partition("-")
            answers = {"auth": auth} | ({"persistence": persistence} if persistence else {})
            folder = tmp_path_factory.mktemp(f"browser-{kind}")
            projects[kind] = bake_into(folder, ROOT, answers).path
        return Service(tools / "python", projects[kind], **settings)

    return new_service


@pytest.fixture(params=CHOICES["auth"])
def service(
    request: pytest.FixtureRequest, new_service: Callable[..., Service]
) -> Iterator[Service]:
    service = new_service(request.param)
    service.start()
    yield service
    service.kill()


@pytest.fixture
def window(browser: "Browser") -> Iterator[Open]:
    """Opens windows; at the end none of them may have had an error, of the policy or of its own."""
    windows: list[Window] = []

    def window(
        url: str,
        *,
        user: str | None = None,
        sign_in: Callable[["Route"], None] | None = None,
        beside: Window | None = None,
        **options: Any,
    ) -> Window:
        if beside is not None:  # another tab, as a browser duplicates one
            kept = json.dumps(beside.page.evaluate("sessionStorage.credentials ?? ''"))
            windows.append(Window(beside.context))
            windows[-1].page.add_init_script(f"sessionStorage.credentials ??= {kept}")
            return windows[-1].open(url)
        context = browser.new_context(**{"viewport": DESK, "locale": "en-GB"} | options)
        if user is not None:
            credentials = json.dumps(json.dumps({"username": user, "password": PASSWORD}))
            context.add_init_script(f"sessionStorage.credentials ??= {credentials}")
        if sign_in is not None:
            context.route("**/auth/token", sign_in)
        windows.append(Window(context))
        return windows[-1].open(url)

    yield window
    problems = [problem for each in windows for problem in each.problems]
    for each in windows:
        each.context.close()
    assert problems == []


def test_two_windows_see_each_other(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    one, two = window(service.url), window(service.url, viewport=PHONE)
    people = one.page.locator("#people li")
    expect(people).to_have_count(2)
    expect(one.page.locator("#count")).to_have_text("2 here")
    one.say("Good morning!")
    two.shows("Good morning!")
    two.say("Good morning.\nA second line.")
    for each in (one, two):
        each.shows("Good morning!", "Good morning.\nA second line.")

    two.page.locator("#text").press_sequentially("Well")
    expect(one.page.locator("#typing")).to_contain_text("is typing")
    two.say("Well then")
    one.shows("Good morning!", "Good morning.\nA second line.", "Well then")
    expect(one.page.locator("#typing")).to_be_empty()

    two.context.close()
    expect(people).to_have_count(1)
    expect(one.page.locator("#count")).to_have_text("1 here")


def test_a_cut_connection_recovers_without_hole_or_repeat(service: Service, window: Open) -> None:
    one, two = window(service.url), window(service.url)
    one.say("before")
    two.shows("before")

    one.context.set_offline(True)  # nothing but this ends the outage
    one.outage = True
    one.page.get_by_role("button", name="Cut connection").click()
    one.is_in("Connection lost")
    one.say("written without a connection")
    missed = [f"missed {number}" for number in range(1, 8)]
    for text in missed:
        two.say(text)
    two.shows("before", *missed)

    one.context.set_offline(False)
    two.say("while it comes back")
    one.is_in("Connected")
    two.say("after")
    one.logs(re.compile(r"chat:lobby: recovered with [78] messages"))
    two.page.locator("#said").get_by_text("written without a connection").wait_for()
    two.page.locator("#said").get_by_text("after").wait_for()
    order = two.page.locator("#said .text").all_inner_texts()
    assert sorted(order) == sorted(
        ["before", *missed, "while it comes back", "written without a connection", "after"]
    )
    one.shows(*order)
    two.shows(*order)


@once
def test_one_can_watch_a_recovery(service: Service, window: Open) -> None:
    for name in ("Ada Lovelace", "Grace Hopper"):
        service.register(name, PASSWORD)
    one = window(service.url, user="Ada Lovelace", device_scale_factor=2)
    two = window(service.url, user="Grace Hopper")
    said = (
        "The new build is on staging. Could you read the release notes?",
        "Two things:\n1. the link to the changelog is missing\n2. please mention the limits",
        "Thanks, both are done.",
        "I cannot see it yet. Are you there?",
        "Ah, you lost your connection. No hurry.",
    )
    for author, text in zip((one, two, one), said, strict=False):
        author.say(text)
        two.page.locator("#said").get_by_text(text).wait_for()
    one.page.get_by_role("button", name="Cut connection").click()
    one.is_in("Connection lost")
    for text in said[3:]:
        two.say(text)
    two.shows(*said)
    one.page.get_by_role("button", name="Try now").click()
    one.is_in("Connected")
    one.logs(re.compile("chat:lobby: recovered with . message"))
    one.shows(*said)
    two.page.locator("#text").press_sequentially("Now")
    one.page.get_by_text("is typing").wait_for()
    if picture := os.environ.get("BROWSER_PICTURE"):
        one.page.screenshot(path=picture)


def crash(service: Service, *windows: Window) -> None:
    """Kill the service and start it again; each window comes back as the user that it was."""
    known = [(each.users[-1], each.page.locator("#me").inner_text()) for each in windows]
    welcomes = [len(each.users) for each in windows]
    for each in windows:
        each.outage = True
    service.kill()
    for each in windows:
        each.is_in("Connection lost")
    service.start()
    for each, before, count in zip(windows, known, welcomes, strict=True):
        each.is_in("Connected")
        assert len(each.users) > count
        assert (each.users[-1], each.page.locator("#me").inner_text()) == before


def test_after_a_crash_it_comes_back_as_the_same_user_and_history_is_there(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    one, two = window(service.url), window(service.url)
    one.say("before the crash")
    two.shows("before the crash")
    crash(service, one, two)
    for each in (one, two):
        each.logs("chat:lobby: recovered with 0 messages")
        expect(each.page.locator("#said .divider")).to_have_count(0)
    expect(one.page.locator("#people li")).to_have_count(2)
    two.say("after the crash")
    two.page.reload()
    for each in (one, two, window(service.url)):
        each.shows("before the crash", "after the crash")
    two.is_in("Connected")
    assert two.users[-1] == two.users[0]


@without_database
def test_after_a_crash_it_comes_back_as_the_same_user_and_says_what_is_lost(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    one, two = window(service.url), window(service.url)
    one.say("before the crash")
    two.shows("before the crash")
    crash(service, one, two)
    for each in (one, two):
        each.logs("chat:lobby: not recovered, history was lost or replaced")
        expect(each.page.locator("#said .divider")).to_contain_text("history was lost")
    expect(one.page.locator("#people li")).to_have_count(2)
    two.say("after the crash")
    one.shows("before the crash", "after the crash")
    two.shows("before the crash", "after the crash")
    window(service.url).shows("after the crash")


def test_a_reload_keeps_the_user_and_the_conversation(service: Service, window: Open) -> None:
    one = window(service.url)
    one.say("kept")
    one.shows("kept")
    one.page.reload()
    one.shows("kept")
    one.is_in("Connected")
    assert one.users[-1] in one.users[:-1]


def test_who_was_sent_away_stays_away_until_asked_to_connect(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    one = window(service.url)
    one.page.clock.install()
    one.page.reload()
    one.logs("chat:lobby: subscribed")
    before = one.connections
    service.end(one.session)
    one.logs("Disconnected (4504: revoked)")
    one.is_in("Disconnected")
    expect(one.page.locator("#notice-text")).to_have_text("Disconnected: revoked.")
    one.page.clock.fast_forward("10:00")  # longer than any back-off
    one.page.get_by_role("button", name="Connect", exact=True).click()
    one.is_in("Connected")
    expect(one.page.locator("#log li").filter(has_text="Connecting")).to_have_count(2)
    expect(one.page.locator("#log li").filter(has_text="Waiting")).to_have_count(0)
    assert one.connections == before + 1
    assert one.users[-1] == one.users[0]
    one.say("back again")
    one.shows("back again")


@once
def test_older_messages_come_page_by_page(service: Service, window: Open) -> None:
    texts = [f"message {number}" for number in range(1, 121)]
    for text in texts:
        service.publish("chat:lobby", text)
    one = window(service.url)
    one.shows(*texts[-50:])
    older = one.page.get_by_role("button", name="Show older messages")
    for count in (100, 120):
        first = one.page.locator("#said .text").first
        first.scroll_into_view_if_needed()
        text, place = first.inner_text(), first.bounding_box()
        older.click()
        one.shows(*texts[-count:])
        now = one.page.locator("#said").get_by_text(text, exact=True).bounding_box()
        assert place is not None
        assert now is not None
        assert count == 120 or abs(now["y"] - place["y"]) < 60  # the button may have moved it
    older.wait_for(state="hidden")


@once
def test_what_looks_like_markup_is_text(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    markup = '<img src=x onerror="document.title=1"><b>bold</b><script>document.title=2</script>'
    one, two = window(service.url), window(service.url)
    title = one.page.title()
    one.page.get_by_label("New room").fill("<u>Title</u>")
    one.page.get_by_label("New room").press("Enter")
    expect(one.page.locator("#room")).to_have_text("<u>Title</u>")
    two.page.evaluate("dispatchEvent(new Event('focus'))")  # or after ten seconds
    two.page.get_by_role("link", name="<u>Title</u>").click()
    expect(two.page.locator("#room")).to_have_text("<u>Title</u>")
    one.say(markup)
    for each in (one, two):
        each.shows(markup)
        assert each.page.locator("main img, main b, main u, main script, nav u").count() == 0
        assert each.page.title() == title


@once
def test_everything_can_be_done_by_keyboard(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    one = window(service.url)
    keyboard = one.page.keyboard

    def tab_to(selector: str) -> None:
        """Go there as far as Tab leads; wherever it leads, one sees where one is."""
        for _ in range(30):
            keyboard.press("Tab")
            focused = one.page.locator(":focus-visible")
            if focused.count() and focused.evaluate("(it, s) => it.matches(s)", selector):
                style = focused.evaluate("it => getComputedStyle(it).outlineStyle")
                assert style == "solid", selector
                return
        pytest.fail(f"Tab does not lead to {selector}")

    tab_to(".skip")
    keyboard.press("Enter")
    expect(one.page.locator("#text")).to_be_focused()
    keyboard.type("two")
    keyboard.press("Shift+Enter")
    keyboard.type("lines")
    keyboard.press("Enter")
    one.shows("two\nlines")

    tab_to("#room-title")
    keyboard.type("Night shift")
    keyboard.press("Enter")
    expect(one.page.locator("#room")).to_have_text("Night shift")
    expect(one.page.locator("#text")).to_be_focused()
    tab_to("#room-list a[href='#/lobby']")
    keyboard.press("Enter")
    expect(one.page.locator("#room")).to_have_text("Lobby")
    one.shows("two\nlines")

    tab_to("#cut")
    keyboard.press("Enter")
    one.is_in("Connection lost")
    tab_to("#wake")
    keyboard.press("Enter")
    one.is_in("Connected")
    expect(one.page.locator("#text")).to_be_focused()
    tab_to("#log")


@once
def test_it_fits_a_phone(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    one = window(service.url, viewport=PHONE, has_touch=True, is_mobile=True)
    page = one.page
    one.say("word " * 40 + "x" * 300)
    expect(page.locator("#said .text")).to_have_count(1)
    widths = """["html", "#conversation"].map((part) => document.querySelector(part))
        .map((part) => part.scrollWidth - part.clientWidth)"""
    assert page.evaluate(widths) == [0, 0]
    expect(page.locator("#write button")).to_be_in_viewport(ratio=1)

    page.get_by_role("button", name="Rooms").tap()
    expect(page.get_by_role("link", name="Lobby")).to_be_in_viewport(ratio=1)
    page.get_by_label("New room").fill("On the way")
    page.get_by_role("button", name="Create").tap()
    expect(page.locator("#room")).to_have_text("On the way")
    expect(page.locator("#rooms")).to_be_hidden()

    page.get_by_role("button", name="Details").tap()
    expect(page.locator("#people li")).to_have_count(1)
    expect(page.locator("#log")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()


@pytest.mark.parametrize("service", ["cookie"], indirect=True)
def test_tabs_of_a_browser_are_one_user_where_it_shows_who_that_is(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    one = window(service.url)
    two = Window(one.context).open(service.url)
    assert one.users == two.users
    expect(two.page.locator("#people li")).to_have_count(1)
    with two.page.expect_request("**/api/rooms") as asked:
        two.page.get_by_label("New room").fill("Night shift")
        two.page.get_by_label("New room").press("Enter")
    assert "authorization" not in asked.value.headers
    expect(two.page.locator("#room")).to_have_text("Night shift")
    assert two.problems == []


@without_database
def test_it_signs_in_anew_before_its_credential_ends(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    def sign_in(route: "Route") -> None:
        route.fulfill(json={"access_token": service.token("ada", 5), "expires_in": 5})

    one, two = window(service.url), window(service.url, sign_in=sign_in)
    lines = two.page.locator("#log li")
    for number in range(2):
        expect(lines.filter(has_text="Signed in anew")).to_have_count(number + 1)
        one.say(f"message {number}")
    two.shows("message 0", "message 1")
    expect(lines.filter(has_text="Lost")).to_have_count(0)
    assert set(two.users) == {"ada"}


@pytest.mark.parametrize("auth", SIGNED)
def test_it_goes_on_by_refresh_tokens_before_its_credential_ends(
    new_service: Callable[..., Service], window: Open, auth: str
) -> None:
    from playwright.sync_api import expect

    service = new_service(auth, APP_ACCESS_SECONDS="5")
    service.start()
    try:
        one = window(service.url)
        # Where tabs share what is kept, one must not use what another has used.
        others = [window(service.url, beside=one)] if auth == "cookie" else []
        for number in range(2):
            for each in (one, *others):
                lines = each.page.locator("#log li")
                expect(lines.filter(has_text="Signed in anew")).to_have_count(number + 1)
            one.say(f"message {number}")
        for each in (one, *others):
            each.shows("message 0", "message 1")
            expect(each.page.locator("#log li").filter(has_text="Lost")).to_have_count(0)
            assert set(each.users) == {one.users[0]}
    finally:
        service.kill()


def form(window: Window) -> "Locator":
    """What asks for a name and a password."""
    return window.page.get_by_role("dialog", name="Sign in")


def fill(window: Window, name: str, password: str, button: str) -> None:
    """Say who this is."""
    form(window).get_by_label("Name").fill(name)
    form(window).get_by_label("Password").fill(password)
    form(window).get_by_role("button", name=button).click()


def sign_out(window: Window) -> None:
    """Sign out, and be told so."""
    from playwright.sync_api import expect

    with window.page.expect_response("**/auth/session") as answered:
        window.page.get_by_role("button", name="Sign out").click()
    assert (answered.value.request.method, answered.value.status) == ("DELETE", 204)
    expect(form(window)).to_contain_text("You are signed out.")


@signed
def test_people_register_sign_in_talk_and_sign_out(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    service.register("grace", PASSWORD)
    one, two = window(service.url), window(service.url)
    for each in (one, two):
        each.page.get_by_text("This name was made up.").wait_for()
        sign_out(each)
        each.refused = True
    fill(one, "ada", "short", "Create account")
    expect(form(one).get_by_role("alert")).to_contain_text("password: ")
    fill(one, "ada", PASSWORD, "Create account")
    fill(two, "grace", PASSWORD, "Create account")
    expect(form(two).get_by_role("alert")).to_have_text("This name is taken.")
    fill(two, "grace", "another password", "Sign in")
    expect(form(two).get_by_role("alert")).to_have_text("The name or the password is wrong.")
    fill(two, "grace", PASSWORD, "Sign in")
    for each, name in ((one, "ada"), (two, "grace")):
        each.is_in("Connected")
        expect(each.page.locator("#me")).to_have_text(name)
        expect(each.page.get_by_text("This name was made up.")).to_have_count(0)
        each.refused = False
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}])"
        assert PASSWORD not in each.page.evaluate(stored)
    one.say("Good morning!")
    two.shows("Good morning!")
    two.say("Good morning.")
    one.shows("Good morning!", "Good morning.")

    sign_out(one)
    expect(one.page.locator("#said li .text")).to_have_count(0)
    expect(two.page.locator("#people li")).to_have_count(1)
    one.page.reload()
    expect(form(one)).to_contain_text("You are signed out.")
    two.say("Are you there?")
    fill(one, "ada", PASSWORD, "Sign in")
    one.shows("Good morning!", "Good morning.", "Are you there?")
    one.page.reload()
    one.is_in("Connected")
    assert one.users[-1] == "ada"


@signed
def test_a_refresh_token_that_is_used_again_signs_all_windows_of_that_session_out(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    service.register("ada", PASSWORD)
    one = window(service.url)
    sign_out(one)
    fill(one, "ada", PASSWORD, "Sign in")
    one.is_in("Connected")
    two, stranger = window(service.url, beside=one), window(service.url)
    assert one.users[-1] == two.users[-1] == "ada"
    stored = "JSON.parse(sessionStorage.credentials ?? localStorage.credentials).refresh"
    stolen = one.page.evaluate(stored)
    assert [service.go_on(stolen) for _ in range(2)] == [200, 401]
    for each in (one, two):
        each.is_in("Disconnected")
        each.logs("Disconnected (4504: revoked)")
    stranger.is_in("Connected")
    one.refused = True
    one.page.get_by_role("button", name="Connect", exact=True).click()
    expect(form(one)).to_contain_text("Your session has ended.")
    fill(one, "ada", PASSWORD, "Sign in")
    one.is_in("Connected")
    one.say("back again")
    stranger.shows("back again")


@once
def test_whoever_comes_then_finds_nothing_of_who_was_there(service: Service, window: Open) -> None:
    """A session that ended; somebody else signs in where it was."""
    from playwright.sync_api import expect

    for name in ("ada", "grace"):
        service.register(name, PASSWORD)
    one = window(service.url)
    sign_out(one)
    fill(one, "ada", PASSWORD, "Sign in")
    one.is_in("Connected")
    one.say("mine")
    expect(one.page.locator("#said .mine")).to_have_count(1)
    one.page.evaluate("""() => {
        const kept = JSON.parse(sessionStorage.credentials);
        sessionStorage.credentials = JSON.stringify({ ...kept, refresh: "none of ours" });
    }""")
    service.end(one.session)
    one.is_in("Disconnected")
    one.refused = True
    one.page.get_by_role("button", name="Connect", exact=True).click()
    with one.page.expect_event("load"):
        fill(one, "grace", PASSWORD, "Sign in")
    one.is_in("Connected")
    one.shows("mine")
    expect(one.page.locator("#said .mine")).to_have_count(0)
    assert one.users[-1] == "grace"


@once
def test_one_signs_in_by_keyboard_and_on_a_phone(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    service.register("ada", PASSWORD)
    one = window(service.url, viewport=PHONE, has_touch=True, is_mobile=True)
    one.page.get_by_role("button", name="Details").tap()
    sign_out(one)
    expect(form(one)).to_be_in_viewport(ratio=1)
    for control in form(one).locator("input, button").all():
        expect(control).to_be_in_viewport(ratio=1)
    if picture := os.environ.get("BROWSER_PICTURE_OF_THE_FORM"):
        one.page.screenshot(path=picture)
    expect(form(one).get_by_label("Name")).to_be_focused()
    one.page.keyboard.press("Escape")
    one.page.keyboard.type("ada")
    one.page.keyboard.press("Tab")
    one.page.keyboard.type(PASSWORD)
    one.page.keyboard.press("Enter")
    one.is_in("Connected")
    assert one.users[-1] == "ada"

    one.page.get_by_role("button", name="Details").tap()
    sign_out(one)
    form(one).get_by_role("button", name="Make up a name").tap()
    one.is_in("Connected")
    assert one.users[-1] not in ("ada", one.users[0])


@pytest.mark.parametrize("registration", ["true", "false"])
def test_in_production_nobody_is_made_up(
    new_service: Callable[..., Service], browser: "Browser", registration: str
) -> None:
    from playwright.sync_api import expect

    service = new_service(CHOICES["auth"][0], APP_REGISTRATION=registration)
    service.start(APP_REGISTRATION="true")  # brings the database up to date
    service.register("ada", PASSWORD)
    service.kill()
    origins = {"APP_ALLOWED_ORIGINS": service.url}
    service.start(APP_ENVIRONMENT="production", APP_DEMO="true", **origins)
    context = browser.new_context()
    try:
        one = Window(context)
        asked: list[str] = []
        one.page.on("request", lambda request: asked.append(request.url))
        one.page.goto(service.url)
        offered = ["Sign in", "Create account"] if registration == "true" else ["Sign in"]
        expect(form(one).get_by_role("button")).to_have_text(offered)
        assert not [url for url in asked if url.startswith(f"{service.url}/auth")]
        fill(one, "ada", PASSWORD, "Sign in")
        one.is_in("Connected")
        assert (one.users, one.problems) == (["ada"], [])
    finally:
        context.close()
        service.kill()


@pytest.mark.parametrize("kind", [*SIGNED, WITHOUT_DATABASE])
def test_where_nobody_signs_in_a_token_can_be_pasted(
    new_service: Callable[..., Service], browser: "Browser", tools: Path, kind: str
) -> None:
    from playwright.sync_api import expect

    if kind == WITHOUT_DATABASE:  # outside of development nobody signs in there
        service = new_service(kind)
        token = service.token("ada")
    else:
        now = int(time.time())
        claims = {"sub": "ada", "iat": now, "exp": now + 3600}
        claims |= {"iss": PROVIDER["APP_JWT_ISSUER"], "aud": PROVIDER["APP_JWT_AUDIENCE"]}
        signing = (tools / "python", "-c", SIGN, json.dumps(claims))
        key, token = json.loads(subprocess.check_output(signing))
        service = new_service(kind, APP_JWT_PUBLIC_KEY=key, **PROVIDER)
    service.start()  # brings the database up to date
    service.kill()
    if kind == "cookie":  # for real users it wants TLS
        service.start(APP_COOKIE_SECURE="true")
    else:
        origins = {"APP_ALLOWED_ORIGINS": service.url}
        service.start(APP_ENVIRONMENT="production", APP_DEMO="true", **origins)
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(service.url)
        for attempt in ("not a token", token):
            page.get_by_label("Access token").fill(attempt)
            page.get_by_role("button", name="Connect", exact=True).click()
        expect(page.locator("#state")).to_have_text("Connected")
        expect(page.locator("#me")).to_have_text("ada")
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
        page.reload()
        expect(page.locator("#state")).to_have_text("Connected")
        expect(page.locator("#sign-in")).to_be_hidden()
    finally:
        context.close()
        service.kill()
