"""What renews a token: good once, for a while; and a family ends when somebody has stolen of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from jose import jwt
from sqlalchemy import func, select, update

from app.accounts.families import PRUNED_AT_ONCE, Families, Token
from app.accounts.settings import AccountSettings
from app.accounts.users import Known
from app.database.base import Database
from app.database.models import RefreshToken, User

from ..doors import open_door
from ..identity.entry import enter, reception
from ..service import Service
from .people import Member, back, database_of, joined, renew

REFUSALS = open_door().refusals
REFUSED = {
    "type": "error",
    "code": "unauthenticated",
    "message": "this is good no more: sign in again",
    "retryable": False,
}


@pytest.fixture
async def database(service: Service) -> AsyncIterator[Database]:
    """Where the shared server keeps its accounts."""
    async with database_of(service) as database:
        yield database


async def refused(service: Service, refresh_token: str) -> bool:
    """Whether a refresh token is good for nothing."""
    answer = await renew(service, refresh_token)
    assert answer.status_code in (200, 401)
    return answer.status_code == 401 and answer.json() == REFUSED


async def is_out(gone: Member) -> bool:
    """Whether a token opens nothing, over HTTP or as a connection."""
    closed = await reception(gone.service, gone.access) == REFUSALS.of(4504)
    return closed and await gone.rooms() == 401


async def test_a_refresh_token_gives_another_pair(service: Service) -> None:
    first = await joined(service, "renewing")
    second = await first.renewed()
    third = await second.renewed()
    assert len({each.refresh for each in (first, second, third)}) == 3
    assert [await each.rooms() for each in (first, second, third)] == [200] * 3
    assert await reception(service, third.access) == "welcome"


@pytest.mark.parametrize("token", ["", "x", "x" * 256, "\0", "Zoë"])
async def test_what_is_no_refresh_token_renews_nothing(
    service: Service, calm: None, token: str
) -> None:
    assert await refused(service, token)


async def test_nor_does_a_token(service: Service) -> None:
    somebody = await joined(service, "mixed up")
    assert (await renew(service, somebody.access)).status_code in (401, 422)
    assert await Member(service, "", somebody.refresh, "").rooms() == 401


async def test_one_that_was_used_ends_its_family_and_no_other(service: Service) -> None:
    """With the connections that its tokens opened; of two who have it one is a thief."""
    first = await joined(service, "robbed")
    other = await back(service, "robbed")
    second = await first.renewed()
    wires = [await enter(service, each.access) for each in (first, second, other)]
    before = len(service.log)
    assert await refused(service, first.refresh)
    async with asyncio.timeout(1):
        assert [(await wire.closed())[0] for wire in wires[:2]] == [4504, 4504]
    assert await is_out(first) and await is_out(second)
    assert await refused(service, second.refresh)
    assert await refused(service, first.refresh)
    assert (await wires[2].ask(type="ping"))["type"] == "pong"
    assert await (await other.renewed()).rooms() == 200
    said = service.log[before:]
    assert said.count("refresh token used again") == 1
    assert '"user": "robbed"' in said
    assert not any(each in said for each in (first.refresh, second.refresh, second.access))
    await wires[2].connection.close()


async def test_of_many_uses_at_once_one_is_first(service: Service) -> None:
    """And since the others came second, all is over then."""
    for number in range(3):
        somebody = await joined(service, f"hasty {number}")
        answers = await asyncio.gather(*(renew(service, somebody.refresh) for _ in range(6)))
        assert sorted(each.status_code for each in answers) == [200, *[401] * 5]
        (winner,) = (each.json() for each in answers if each.status_code == 200)
        assert await refused(service, winner["refresh_token"])


async def test_signing_out_ends_the_family_whichever_token_says_so(service: Service) -> None:
    """Also the one that was renewed: with it other connections may have begun."""
    first = await joined(service, "leaving by the old one")
    second = await first.renewed()
    other = await back(service, "leaving by the old one")
    wire = await enter(service, second.access)
    assert await first.sign_out() == 204
    async with asyncio.timeout(1):
        assert (await wire.closed())[0] == 4504
    assert await refused(service, second.refresh)
    assert await is_out(first) and await is_out(second)
    assert await other.rooms() == 200
    assert await (await other.renewed()).sign_out() == 204
    assert await other.rooms() == 401


async def test_a_refresh_token_ends_by_itself(service: Service, database: Database) -> None:
    """Nobody stole one that has expired, so the family goes on."""
    first = await joined(service, "late")
    second = await first.renewed()
    third = await second.renewed()
    for expired in (second, first):
        await expire(database, expired.refresh)
        assert await refused(service, expired.refresh)
    assert await third.rooms() == 200
    await expire(database, third.refresh)
    assert await refused(service, third.refresh)
    assert await third.rooms() == 200


async def expire(database: Database, refresh_token: str) -> None:
    """Have one end now."""
    here = RefreshToken.digest == sha256(refresh_token.encode()).digest()
    change = update(RefreshToken).where(here).values(expires_at=datetime.now(UTC))
    done = await database.run(lambda c: c.execute(change).rowcount, writes=True)
    assert done == 1


async def test_what_has_expired_is_removed_a_little_at_a_time(database: Database) -> None:
    """By whoever signs in, whoever had it."""
    families = Families(database, AccountSettings())
    token = await families.register(Known("gone for good", "hash", ""))
    for _ in range(2 * PRUNED_AT_ONCE):
        renewed = await families.renew(token.refresh_token)
        assert isinstance(renewed, Token)
        token = renewed
    theirs = RefreshToken.user == "gone for good"
    count = select(func.count()).select_from(RefreshToken).where(theirs)
    long_ago = datetime.now(UTC) - timedelta(days=100)
    change = update(RefreshToken).where(theirs).values(expires_at=long_ago)
    assert (
        await database.run(lambda c: c.execute(change).rowcount, writes=True)
        == 2 * PRUNED_AT_ONCE + 1
    )
    left = list[int]()
    for number in range(3):
        await families.register(Known(f"a newcomer {number}", "hash", ""))
        left.append(await database.run(lambda c: c.execute(count).scalar_one()))
    assert left == [PRUNED_AT_ONCE + 1, 1, 0]


async def test_the_database_knows_no_token(service: Service, database: Database) -> None:
    somebody = await (await joined(service, "trusting")).renewed()
    rows = select(RefreshToken.__table__).where(RefreshToken.user == "trusting")
    kept = await database.run(lambda c: c.execute(rows).all())
    assert sha256(somebody.refresh.encode()).digest() in [row.digest for row in kept]
    assert somebody.refresh not in repr(kept) and somebody.access not in repr(kept)


async def test_a_token_says_what_the_user_may_do_today(database: Database) -> None:
    families = Families(database, AccountSettings())
    token = await families.register(Known("promoted", "hash", "publish"))
    change = update(User).where(User.name == "promoted").values(scopes="admin publish")
    await database.run(lambda c: c.execute(change), writes=True)
    renewed = await families.renew(token.refresh_token)
    assert isinstance(renewed, Token)
    assert [scopes(each.access_token) for each in (token, renewed)] == ["publish", "admin publish"]


def scopes(token: str) -> str:
    """What a token says of them."""
    return str(jwt.get_unverified_claims(token)["scope"])
