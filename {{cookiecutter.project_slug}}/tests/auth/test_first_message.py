"""A token in the first message: before it nothing, after it an identity until it expires."""

import time
from collections.abc import Iterator

import pytest
from jose import jwt
from websockets.asyncio.client import connect as handshake

from ..service import Service, Wire, running

SECRET = "a secret of 32 characters or more"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for real users that waits for a token for a moment only."""
    with running(
        tmp_path_factory.mktemp("strict"),
        APP_AUTH_SECONDS="1",
        APP_ENVIRONMENT="production",
        APP_JWT_SECRET=SECRET,
    ) as service:
        yield service


def token(user: str = "ann", seconds: float = 600, scope: str = "", secret: str = SECRET) -> str:
    """What an identity provider gives a user."""
    now = time.time()
    claims = {"sub": user, "iat": int(now), "exp": int(now + seconds), "scope": scope}
    return jwt.encode(claims | {"name": user.title()}, secret, "HS256")


async def opened(service: Service, path: str = "") -> Wire:
    """A connection that has said nothing yet."""
    return Wire(await handshake(service.ws + path))


async def test_before_the_token_nothing_else_is_done(strict: Service) -> None:
    wire = await opened(strict)
    async with wire.connection:
        for command in (
            {"type": "ping"},
            {"type": "subscribe", "channel": "chat:lobby"},
            {"type": "publish", "channel": "chat:lobby", "data": {"text": "x"}},
            {"type": "history", "channel": "chat:lobby"},
        ):
            assert (await wire.ask(**command))["code"] == "unauthenticated"
        await wire.connection.send("no JSON")
        assert (await wire.hear())["code"] == "invalid_message"
        welcome = await wire.ask(type="auth", token=token("ann"), id="a")
        assert (welcome["type"], welcome["id"]) == ("welcome", "a")
        assert welcome["user"] == {"id": "ann", "name": "Ann"}
        assert welcome["personal"] == "user:ann"
        assert "expires_at" in welcome and "guest_token" not in welcome
        assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_an_identity_is_not_changed(strict: Service) -> None:
    wire = await opened(strict)
    async with wire.connection:
        await wire.ask(type="auth", token=token("ann"))
        refused = await wire.ask(type="auth", token=token("bob"))
        assert refused["code"] == "unsupported"
        assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_who_does_not_say_who_it_is_is_cut(strict: Service) -> None:
    silent, talking, named = [await opened(strict) for _ in range(3)]
    await named.ask(type="auth", token=token())
    await talking.ask(type="ping")
    assert await silent.closed() == (4501, "authentication timed out")
    assert (await talking.closed())[0] == 4501
    async with named.connection:
        assert (await named.ask(type="ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (token(secret="another secret of 32 characters!!"), 4500),
        (token()[:-1], 4500),
        ("x", 4500),
        (token(seconds=-60), 4100),
    ],
    ids=["another secret", "cut short", "no token", "expired"],
)
async def test_a_token_that_proves_nothing_is_the_end(
    strict: Service, credential: str, code: int
) -> None:
    wire = await opened(strict)
    await wire.say(type="auth", token=credential)
    assert (await wire.closed())[0] == code
    assert credential not in strict.log or credential == "x"


async def test_a_connection_ends_with_its_token(strict: Service) -> None:
    wire = await opened(strict)
    welcome = await wire.ask(type="auth", token=token(seconds=1.5))
    assert welcome["type"] == "welcome"
    assert await wire.closed() == (4100, "credential expired")


async def test_a_token_elsewhere_proves_nothing_and_is_not_logged(strict: Service) -> None:
    credential = token()
    wire = await opened(strict, f"?token={credential}")
    async with wire.connection:
        assert (await wire.ask(type="ping"))["code"] == "unauthenticated"
    headers = {"Authorization": f"Bearer {credential}"}
    async with handshake(strict.ws, additional_headers=headers) as connection:
        assert (await Wire(connection).ask(type="ping"))["code"] == "unauthenticated"
    async with handshake(strict.ws, subprotocols=["v1.json", credential]) as connection:  # type: ignore[list-item]
        assert connection.subprotocol == "v1.json"
        assert (await Wire(connection).ask(type="ping"))["code"] == "unauthenticated"
    assert credential not in strict.log


async def test_a_path_subscribes_after_the_token(strict: Service) -> None:
    wire = await opened(strict, "/chat/lobby")
    async with wire.connection:
        await wire.say(type="auth", token=token())
        assert [(await wire.hear())["type"] for _ in range(2)] == ["welcome", "subscribed"]
    elsewhere = await opened(strict, "/user/bob")
    await elsewhere.say(type="auth", token=token("ann"))
    assert (await elsewhere.closed())[0] == 4508


async def test_for_real_users_a_room_is_created_on_purpose(strict: Service) -> None:
    wire = await opened(strict)
    async with wire.connection, strict.rest() as http:
        await wire.ask(type="auth", token=token("ann"))
        refused = await wire.ask(type="subscribe", channel="chat:new")
        assert refused["code"] == "unknown_channel"
        assert (await http.post("/api/rooms", json={"name": "new"})).status_code == 401
        bearer = {"Authorization": f"Bearer {token('ann')}"}
        room = await http.post("/api/rooms", json={"name": "new"}, headers=bearer)
        assert (room.status_code, room.json()["created_by"]) == (201, "ann")
        assert (await wire.ask(type="subscribe", channel="chat:new"))["type"] == "subscribed"


async def test_the_scope_publish_publishes_over_rest(strict: Service) -> None:
    body = {"data": {"text": "x"}}
    async with strict.rest() as http:
        for scope, status in (("publish", 201), ("read publish", 201), ("read", 403), ("", 403)):
            bearer = {"Authorization": f"Bearer {token('ann', scope=scope)}"}
            path = "/api/channels/chat:lobby/messages"
            assert (await http.post(path, json=body, headers=bearer)).status_code == status
            page = (await http.get(path, headers=bearer)).json()
        assert [each["from"]["id"] for each in page["messages"]] == ["ann", "ann"]


async def test_without_a_token_rest_is_for_nobody(strict: Service) -> None:
    async with strict.rest() as http:
        for header in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
            response = await http.get("/api/rooms", headers=header)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
