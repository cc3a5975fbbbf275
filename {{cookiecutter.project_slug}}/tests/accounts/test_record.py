"""What was revoked stays so: also after the process was killed that was told."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from app.accounts.families import Families, Token
from app.accounts.record import UserRecord
from app.accounts.settings import AccountSettings
from app.accounts.users import Known, Users
from app.auth.base import Principal
from app.auth.tokens import open_tokens
from app.database.models import RefreshToken, User

from ..databases import own_database
from ..doors import open_door
from ..identity.entry import enter, reception
from ..service import API_KEY, Service, environment, running
from .people import PASSWORD, Member, back, database_of, joined, renew

REFUSALS = open_door().refusals


async def is_out(gone: Member) -> bool:
    """Whether nothing of what somebody had is good any more."""
    refused = await reception(gone.service, gone.access) == REFUSALS.of(4504)
    renewed = (await renew(gone.service, gone.refresh)).status_code
    return refused and await gone.rooms() == 401 and renewed == 401


async def is_in(member: Member) -> bool:
    """Whether a token is good."""
    return await member.rooms() == 200 and await reception(member.service, member.access) == (
        "welcome"
    )


async def put_out(service: Service, user: str) -> None:
    """End all that a user has, as those may who keep order."""
    async with service.rest({"X-API-Key": API_KEY}) as http:
        answer = await http.delete("/api/connections", params={"user": user})
    assert answer.status_code == 204


async def test_what_was_revoked_stays_so_when_the_process_was_killed(tmp_path: Path) -> None:
    """By whom ever: who signs out here, or everywhere; who is put out; who uses a token twice."""
    with running(tmp_path) as service:
        ann, bob, cleo, dan, eve = [
            await joined(service, name) for name in ("ann", "bob", "cleo", "dan", "eve")
        ]
        phone, bobs_phone = await back(service, "ann"), await back(service, "bob")
        dan_now = await dan.renewed()
        assert await ann.sign_out() == 204
        assert await bob.sign_out(everywhere="true") == 204
        await put_out(service, "cleo")
        assert (await renew(service, dan.refresh)).status_code == 401
        gone = (ann, bob, bobs_phone, cleo, dan, dan_now)
        service.kill()
        service.start()
        assert [await is_out(each) for each in gone] == [True] * len(gone)
        assert [await is_in(each) for each in (phone, eve)] == [True, True]
        for name in ("ann", "bob", "cleo", "dan"):
            assert await is_in(await back(service, name))
        assert [await is_out(each) for each in gone] == [True] * len(gone)
        assert "Traceback" not in service.log


async def test_what_another_process_revokes_ends_connections_here(tmp_path: Path) -> None:
    """By a request to it, or from the command line: it tells nobody here, but it is on record."""
    shared = own_database(tmp_path) | {"APP_JWT_SECRET": "a secret of 32 characters or more"}
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
    with (
        running(folders[0], APP_SWEEP_SECONDS="0.2", **shared) as here,
        running(folders[1], **shared) as there,
    ):
        ann, bob, cleo, dan = [await joined(here, name) for name in ("ann", "bob", "cleo", "dan")]
        wires = [await enter(here, each.access) for each in (ann, bob, cleo, dan)]
        assert await replace(ann, service=there).sign_out() == 204
        assert await replace(bob, service=there).sign_out(everywhere="true") == 204
        changed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "user", "password", "cleo"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=environment(shared),
            cwd=tmp_path,
        )
        await changed.communicate(f"{PASSWORD}\n".encode())
        assert changed.returncode == 0
        assert [await wire.closed() for wire in wires[:3]] == [(4504, "revoked")] * 3
        assert (await wires[3].ask(type="ping"))["type"] == "pong"
        await wires[3].connection.close()


async def test_signing_out_everywhere_ends_all_that_the_user_has(service: Service) -> None:
    phone, other = await joined(service, "busy"), await joined(service, "not busy")
    laptop = await back(service, "busy")
    wires = [await enter(service, each.access) for each in (phone, laptop, other)]
    assert await laptop.sign_out(everywhere="true") == 204
    async with asyncio.timeout(1):
        assert [(await wire.closed())[0] for wire in wires[:2]] == [4504, 4504]
    assert await is_out(phone) and await is_out(laptop)
    assert (await wires[2].ask(type="ping"))["type"] == "pong"
    await wires[2].connection.close()
    assert await is_in(await back(service, "busy"))


async def test_who_has_no_account_comes_with_tokens_of_others_as_before(service: Service) -> None:
    """Signed by a backend that knows the secret."""
    token = str(await service.token("somebody of the backend's"))
    stranger = Member(service, "", token, "")
    assert await is_in(stranger)
    async with database_of(service) as database:
        record = UserRecord(database)
        principal = Principal("somebody of the backend's", token_id="t")
        assert await record.revoked([principal]) == [False]
        assert await record.revoke_token(principal) == []
        assert await record.revoke_user(principal.user) is None
        assert await record.revoked([principal]) == [False]
    assert await stranger.sign_out() == 204
    assert await stranger.rooms() == 401


async def test_nothing_is_renewed_past_a_revocation_at_the_same_moment(service: Service) -> None:
    """Whichever comes first: what was renewed before is revoked, and nothing is after."""
    async with database_of(service) as database, open_tokens() as tokens:
        families, record = Families(database, AccountSettings()), UserRecord(database)
        for number in range(10):
            name = f"racing {number}"
            several = [await families.register(Known(name, "hash", ""))]
            several += [t for _ in range(3) if (t := await families.begin(name, "hash"))]
            renewing = [asyncio.create_task(families.renew(t.refresh_token)) for t in several]
            await asyncio.wait(renewing, return_when=asyncio.FIRST_COMPLETED)
            assert await record.revoke_user(name) is not None
            for each in await asyncio.gather(*renewing):
                if isinstance(each, Token):
                    principal = await tokens.verify(each.access_token)
                    assert await record.revoked([principal]) == [True]
                    assert await families.renew(each.refresh_token) == ()
            assert any(isinstance(each.result(), Token) for each in renewing)


@pytest.mark.parametrize("ahead", [-20, 20])
async def test_no_clock_decides_whether_a_token_was_before_a_revocation(
    service: Service, ahead: int
) -> None:
    """Whoever revoked had a clock that was so many seconds ahead of that of who signs."""
    name = f"between clocks {ahead}"
    async with database_of(service) as database, open_tokens() as tokens:
        families, record = Families(database, AccountSettings()), UserRecord(database)
        before = await families.register(Known(name, "old", ""))
        assert await Users(database).change_password(name, "new")
        moment = datetime.now(UTC) + timedelta(seconds=ahead)
        shifted = update(User).where(User.name == name).values(tokens_not_before=moment)
        await database.run(lambda c: c.execute(shifted), writes=True)
        after = await families.begin(name, "new")
        assert after is not None
        people = [await tokens.verify(each.access_token) for each in (before, after)]
        assert await record.revoked(people) == [True, False]
        for person in people:
            assert await record.revoked([replace(person, user="another")]) == [False]
        theirs = delete(RefreshToken).where(RefreshToken.user == name)
        await database.run(lambda c: c.execute(theirs), writes=True)
        assert await record.revoked(people) == [ahead > 0] * 2, "where no row says it"
