"""The demo page as people use it: two windows, a real Chromium, a real service."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .baking import bake_into
from .browser import Service, Window, open_browser
from .options import CHOICES, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

Open = Callable[..., Window]

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}

once = pytest.mark.parametrize("service", CHOICES["auth"][:1], indirect=True)
"""For what does not depend on how a connection proves who it is."""

SIGNED = [auth for auth in CHOICES["auth"] if auth != "none"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def new_service(
    browser: "Browser", tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Service]:
    projects: dict[str, Path] = {}

    def new_service(auth: str, **settings: str) -> Service:
        if auth not in projects:
            folder = tmp_path_factory.mktemp(f"browser-{auth}")
            projects[auth] = bake_into(folder, ROOT, {"auth": auth}).path
        return Service(tools / "python", projects[auth], **settings)

    return new_service


@pytest.fixture(params=CHOICES["auth"])
def service(
    request: pytest.FixtureRequest, new_service: Callable[..., Service]
) -> Iterator[Service]:
    service = new_service(request.param, APP_JWT_SECRET="a secret of the tests " * 2)
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
        **options: Any,
    ) -> Window:
        context = browser.new_context(**{"viewport": DESK, "locale": "en-GB"} | options)
        if user is not None:
            credentials = json.dumps(json.dumps({"username": user, "password": "any"}))
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


def test_after_a_crash_it_comes_back_as_the_same_user_and_says_what_is_lost(
    service: Service, window: Open
) -> None:
    from playwright.sync_api import expect

    one, two = window(service.url), window(service.url)
    one.say("before the crash")
    two.shows("before the crash")
    known = [(each.users[-1], each.page.locator("#me").inner_text()) for each in (one, two)]
    welcomes = [len(each.users) for each in (one, two)]

    one.outage = two.outage = True
    service.kill()
    for each in (one, two):
        each.is_in("Connection lost")
    service.start()
    for each, before, count in zip((one, two), known, welcomes, strict=True):
        each.is_in("Connected")
        each.logs("chat:lobby: not recovered, history began anew")
        expect(each.page.locator("#said .divider")).to_contain_text("history began anew")
        assert len(each.users) > count
        assert (each.users[-1], each.page.locator("#me").inner_text()) == before
    expect(one.page.locator("#people li")).to_have_count(2)
    two.say("after the crash")
    one.shows("before the crash", "after the crash")
    two.shows("before the crash", "after the crash")


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


@pytest.mark.parametrize("service", SIGNED, indirect=True)
def test_it_signs_in_anew_before_its_credential_ends(service: Service, window: Open) -> None:
    from playwright.sync_api import expect

    token = service.sign_in("ada")

    def sign_in(route: "Route") -> None:
        route.fulfill(json={"access_token": service.shorten(token, 5), "expires_in": 5})

    one, two = window(service.url), window(service.url, sign_in=sign_in)
    lines = two.page.locator("#log li")
    for number in range(2):
        expect(lines.filter(has_text="Signed in anew")).to_have_count(number + 1)
        one.say(f"message {number}")
    two.shows("message 0", "message 1")
    expect(lines.filter(has_text="Lost")).to_have_count(0)
    assert set(two.users) == {"ada"}


@pytest.mark.parametrize("auth", SIGNED)
def test_where_nobody_signs_in_a_token_can_be_pasted(
    new_service: Callable[..., Service], browser: "Browser", auth: str
) -> None:
    from playwright.sync_api import expect

    service = new_service(auth, APP_JWT_SECRET="a secret of the tests " * 2)
    service.start()
    token = service.sign_in("ada")
    service.kill()
    if auth == "cookie":  # for real users it wants TLS
        service.start(APP_DEVELOPMENT_SIGN_IN="false", APP_COOKIE_SECURE="true")
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
        page.reload()
        expect(page.locator("#state")).to_have_text("Connected")
        expect(page.locator("#sign-in")).to_be_hidden()
    finally:
        context.close()
        service.kill()
