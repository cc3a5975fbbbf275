"""Who has an account, with which password."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.accounts.families import Families, Token
from app.accounts.settings import AccountSettings
from app.accounts.users import Known, Users
from app.database.models import RefreshToken, User
from app.protocol.errors import CommandError, ErrorCode

from ..service import Service
from .people import database_of


async def test_a_name_has_one_user_however_many_want_it(service: Service) -> None:
    async with database_of(service) as database:
        users = Users(database)
        outcomes = await asyncio.gather(
            *(users.add("wanted", f"hash {number}", "") for number in range(4)),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, CommandError)]
        assert [each.code for each in refused] == [ErrorCode.CONFLICT] * 3
        kept = f"hash {outcomes.index(None)}"
        assert await users.find("wanted") == Known("wanted", kept, "")
        assert await users.find("nobody") is None


async def test_another_password_revokes_all_that_the_user_had(service: Service) -> None:
    async with database_of(service) as database:
        families, users = Families(database, AccountSettings()), Users(database)
        token = await families.register(Known("forgetful", "old", ""))
        before = datetime.now(UTC)
        assert await users.change_password("forgetful", "new")
        assert await users.find("forgetful") == Known("forgetful", "new", "")
        moment = await database.run(
            lambda c: c.execute(
                select(User.tokens_not_before).where(User.name == "forgetful")
            ).scalar_one()
        )
        assert moment is not None and moment >= before
        left = select(RefreshToken.revoked_at).where(RefreshToken.user == "forgetful")
        assert await database.run(lambda c: c.execute(left).scalars().all()) == [moment]
        assert await families.renew(token.refresh_token) == ()


async def test_who_has_no_account_gets_no_password(service: Service) -> None:
    async with database_of(service) as database:
        assert not await Users(database).change_password("nobody", "new")
        assert await Users(database).find("nobody") is None


async def test_a_password_that_was_changed_signs_nobody_in_any_more(service: Service) -> None:
    """Also if it was the right one when it was verified."""
    async with database_of(service) as database:
        families, users = Families(database, AccountSettings()), Users(database)
        await users.add("changing", "old", "")
        await users.change_password("changing", "new")
        assert await families.begin("changing", "old") is None
        assert await families.begin("nobody", "old") is None
        assert isinstance(await families.begin("changing", "new"), Token)


@pytest.mark.parametrize("name", ["' OR 1=1 --", "%", "Zoë 👋", "\\"])
async def test_a_name_is_a_name_and_nothing_else(service: Service, name: str) -> None:
    async with database_of(service) as database:
        await Users(database).add(name, "hash", "")
        assert await Users(database).find(name) == Known(name, "hash", "")


@pytest.mark.parametrize(
    ("name", "others"),
    [("Grace", ("grace", "GRACE")), ("Strauß", ("STRAUSS",)), ("Ὀδυσσεύς", ("ὈΔΥΣΣΕΎΣ",))],
)
async def test_a_name_is_one_name_in_whatever_case(
    service: Service, name: str, others: Sequence[str]
) -> None:
    async with database_of(service) as database:
        users = Users(database)
        await users.add(name, "hash", "")
        for other in others:
            assert await users.find(other) == Known(name, "hash", "")
            with pytest.raises(CommandError) as refused:
                await users.add(other, "another", "")
            assert refused.value.code is ErrorCode.CONFLICT
            assert await users.change_password(other, "hash")
