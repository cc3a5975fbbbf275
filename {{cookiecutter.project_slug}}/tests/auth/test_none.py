"""Guests: everybody is one, and stays who it was by its token."""

import httpx2
import pytest
from websockets.asyncio.client import connect as handshake

from ..service import Service, Wire
from ..shapes import Frame


async def greeted(service: Service, path: str = "") -> Wire:
    """A new guest."""
    wire = Wire(await handshake(service.ws + path))
    wire.welcome = await wire.hear()
    assert wire.welcome["type"] == "welcome"
    return wire


async def ended(wire: Wire, **command: object) -> tuple[int, str]:
    """How the connection ends after a command."""
    await wire.say(**command)
    return await wire.closed()


async def test_a_guest_is_welcome_without_a_word(service: Service, calm: None) -> None:
    one, two = await greeted(service), await greeted(service)
    async with one.connection, two.connection:
        assert one.user != two.user
        assert one.welcome["guest_token"] != two.welcome["guest_token"]
        assert "expires_at" not in one.welcome and "id" not in one.welcome


async def test_a_guest_comes_back_as_who_it_was(service: Service, calm: None) -> None:
    first = await greeted(service)
    await first.connection.close()
    wire = await greeted(service)
    async with wire.connection:
        again = await wire.ask(type="auth", token=first.welcome["guest_token"], id="a")
        expected: Frame = {
            **wire.welcome,
            "id": "a",
            "user": first.welcome["user"],
            "personal": first.welcome["personal"],
            "guest_token": first.welcome["guest_token"],
        }
        assert again == expected
        await wire.ask(type="subscribe", channel="chat:guests")
        await wire.ask(type="publish", channel="chat:guests", data={"text": "it is me"})
        page = await wire.ask(type="history", channel="chat:guests", limit=1)
        assert page["messages"][0]["from"] == first.welcome["user"]
        own = await wire.ask(type="subscribe", channel=first.welcome["personal"])
        assert own["type"] == "subscribed"


@pytest.mark.parametrize(
    "before",
    [
        {"type": "ping"},
        {"type": "subscribe", "channel": "chat:guests"},
        {"type": "subscribe", "channel": "nowhere:x"},
    ],
    ids=["ping", "subscribe", "refused"],
)
async def test_an_identity_is_taken_up_at_once_or_not_at_all(
    service: Service, calm: None, before: Frame
) -> None:
    first = await greeted(service)
    await first.connection.close()
    wire = await greeted(service)
    async with wire.connection:
        await wire.ask(**before)
        refused = await wire.ask(type="auth", token=first.welcome["guest_token"])
        assert refused["code"] == "unsupported"
        assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_an_identity_is_taken_up_after_a_beat(service: Service, calm: None) -> None:
    """A beat comes at a random moment, so the answer to it may be what a client says first."""
    first = await greeted(service)
    await first.connection.close()
    wire = await greeted(service)
    async with wire.connection:
        await wire.say(type="pong")
        again = await wire.ask(type="auth", token=first.welcome["guest_token"])
        assert (again["type"], again["user"]) == ("welcome", first.welcome["user"])


async def test_an_identity_is_taken_up_once(service: Service, calm: None) -> None:
    first = await greeted(service)
    await first.connection.close()
    wire = await greeted(service)
    async with wire.connection:
        token = first.welcome["guest_token"]
        assert (await wire.ask(type="auth", token=token))["type"] == "welcome"
        assert (await wire.ask(type="auth", token=token))["code"] == "unsupported"


async def test_on_a_path_a_guest_is_new(service: Service, calm: None) -> None:
    first = await greeted(service)
    await first.connection.close()
    wire = await greeted(service, "/chat/guests")
    async with wire.connection:
        refused = await wire.ask(type="auth", token=first.welcome["guest_token"])
        assert refused["code"] == "unsupported"


async def test_no_other_identity_can_be_taken_up(service: Service, calm: None) -> None:
    guest = await greeted(service)
    await guest.connection.close()
    user, _, signature = guest.welcome["guest_token"].partition(".")
    for forged in (
        user,
        f"{user}.",
        f"{user}.{signature[:-1]}",
        f"{user}.{signature}0",
        f"{user}.{signature.upper()}",
        f"{user}x.{signature}",
        f"admin.{signature}",
        f".{signature}",
        ".",
        "ü" * 4096,
        f"{user}.{'ü' * len(signature)}",
    ):
        assert await ended(await greeted(service), type="auth", token=forged) == (
            4500,
            "unauthenticated",
        ), forged
    assert signature not in service.log


async def test_nobody_is_cut_for_saying_nothing(small: Service) -> None:
    """The time limit is for an identity, and a guest has one."""
    wire = await greeted(small)
    async with wire.connection:
        assert await wire.heard() == []


async def test_over_rest_a_guest_is_known_by_its_token_or_anonymous(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    guest = await greeted(service)
    await guest.connection.close()
    bearer = {"Authorization": f"Bearer {guest.welcome['guest_token']}"}
    room = await visitor.post("/api/rooms", json={"name": "of-a-guest"}, headers=bearer)
    assert room.json()["created_by"] == guest.user
    assert (await visitor.get("/api/rooms")).status_code == 200
    anonymous = await visitor.post("/api/rooms", json={"name": "of-nobody"})
    assert anonymous.json()["created_by"] != guest.user
