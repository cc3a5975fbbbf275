"""Who signs out is gone, with every connection of that token, and with no other."""

import asyncio
import time
from string import ascii_lowercase, ascii_uppercase, digits
from time import monotonic

import pytest
from websockets.exceptions import ConnectionClosed

from ...doors import open_door
from ...doors.base import Refused
from ...service import API_KEY, Service
from ..entry import SOON, enter, reception, remainder
from .conftest import PROVIDER, Enter
from .test_credentials import over_rest

LETTERS = f"{ascii_uppercase}{ascii_lowercase}{digits}-_"
"""Of base64 in URLs, in order."""
REFUSALS = open_door().refusals


async def sign_out(service: Service, token: str) -> int:
    """The status with which the service answers."""
    async with service.rest({"Authorization": f"Bearer {token}"}) as http:
        return (await http.delete("/auth/session")).status_code


async def put_out(service: Service, user: str) -> None:
    """End all that a user has."""
    async with service.rest({"X-API-Key": API_KEY}) as http:
        answer = await http.delete("/api/connections", params={"user": user})
        assert answer.status_code == 204


async def test_every_connection_of_the_token_ends(secured: Service, come: Enter) -> None:
    token, another = PROVIDER.token("ann"), PROVIDER.token("ann")
    gone, stays = [await come(token), await come(token)], await come(another)
    for wire in (*gone, stays):
        await wire.ask(type="subscribe", channel="chat:sign-out")
    begun = monotonic()
    assert await sign_out(secured, token) == 204
    await stays.ask(type="publish", channel="chat:sign-out", data={"text": "later"})
    for heard, code in await asyncio.gather(*map(remainder, gone)):
        assert code == 4504
        assert "message" not in [each["type"] for each in heard]
    assert monotonic() - begun < SOON
    assert (await stays.hear_type("message"))["data"] == {"text": "later"}


async def test_the_token_is_good_for_nothing_afterwards(secured: Service) -> None:
    token, another = PROVIDER.token("ann"), PROVIDER.token("ann")
    assert await over_rest(secured, token) == 200
    assert await sign_out(secured, token) == 204
    assert await over_rest(secured, token) == 401
    assert await reception(secured, token) == REFUSALS.of(4504)
    assert await sign_out(secured, token) == 401
    assert await over_rest(secured, another) == 200
    assert await reception(secured, another) == "welcome"


@pytest.mark.parametrize("jti", ["named", None])
async def test_nor_is_the_same_token_in_other_letters(secured: Service, jti: str | None) -> None:
    """The last letter of a signature has bits that nobody reads."""
    token = PROVIDER.token("ann", jti=jti)
    last = LETTERS.index(token[-1])
    others = [token[:-1] + LETTERS[last ^ bits] for bits in (1, 2, 3)]
    assert await sign_out(secured, token) == 204
    for other in (token, *others):
        assert await over_rest(secured, other) == 401
        assert await reception(secured, other) == REFUSALS.of(4504)
    assert await over_rest(secured, PROVIDER.token("ann", jti=jti and "another")) == 200


async def test_who_was_put_out_may_sign_in_anew(secured: Service, come: Enter) -> None:
    before = [PROVIDER.token("ida"), PROVIDER.token("ida", jti=None)]
    wires = [await come(token) for token in before]
    await put_out(secured, "ida")
    assert {(await wire.closed())[0] for wire in wires} == {4504}
    for token in before:
        assert await over_rest(secured, token) == 401
        assert await reception(secured, token) == REFUSALS.of(4504)
    after = str(await secured.token("ida"))
    assert await over_rest(secured, after) == 200
    wire = await come(after)
    assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_a_provider_whose_clock_is_ahead_saves_nobody(secured: Service, come: Enter) -> None:
    """By as much as is taken for a difference of clocks."""
    token = PROVIDER.token("jan", iat=time.time() + 25)
    wire = await come(token)
    await put_out(secured, "jan")
    assert (await wire.closed())[0] == 4504
    for each in (token, PROVIDER.token("jan")):
        assert await over_rest(secured, each) == 401
        assert await reception(secured, each) == REFUSALS.of(4504)


async def test_a_key_is_not_signed_in(secured: Service) -> None:
    async with secured.rest({"X-API-Key": API_KEY}) as http:
        assert (await http.delete("/auth/session")).status_code == 403
    async with secured.rest() as http:
        assert (await http.delete("/auth/session")).status_code == 401
    assert await sign_out(secured, "garbage") == 401


async def test_who_comes_in_at_that_moment_does_not_stay(secured: Service) -> None:
    """The token was good when it was looked at, and is not when the connection begins."""
    for _ in range(5):
        token = PROVIDER.token("joe")
        coming = [asyncio.create_task(_end(secured, token)) for _ in range(8)]
        await asyncio.sleep(0)
        assert await sign_out(secured, token) == 204
        assert set(await asyncio.gather(*coming)) <= {4504, REFUSALS.of(4504)}


async def _end(service: Service, token: str) -> int:
    """How a connection ends that is opened, however far it comes."""
    try:
        wire = await enter(service, token)
    except Refused as refused:
        return refused.status
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd else 0
    return (await wire.closed())[0]
