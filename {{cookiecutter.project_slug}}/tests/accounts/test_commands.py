"""Users are looked after from the command line: the first who may do more than others, too."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ..databases import own_database
from ..identity.entry import reception
from ..service import Service, environment, running
from .people import PASSWORD, back, joined, renew, sign_in
from .test_record import REFUSALS


def user(folder: Path, *words: str, given: str = PASSWORD) -> tuple[int, str]:
    """What `python -m app user` ends with, and says."""
    return command(folder, "user", *words, given=given, **own_database(folder))


def command(folder: Path, *words: str, given: str = PASSWORD, **settings: str) -> tuple[int, str]:
    """What `python -m app` ends with, and says."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=folder,
        env=environment(settings),
        input=f"{given}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert given not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


async def test_the_first_admin_comes_from_the_command_line(service: Service) -> None:
    scoped = "--scope", "admin", "--scope", "publish"
    status, said = user(service.folder, "add", " Root ", *scoped)
    assert (status, "There is a user Root now, who may: admin, publish." in said) == (0, True)
    admin, nobody = await back(service, "Root"), await joined(service, "ordinary")
    for who, expected in ((admin, 200), (nobody, 403)):
        async with service.rest(who.bearer) as http:
            assert (await http.get("/api/connections")).status_code == expected
    message = {"data": {"text": "by an admin"}}
    async with service.rest((await admin.renewed()).bearer) as http:
        answer = await http.post("/api/channels/chat:lobby/messages", json=message)
    assert answer.status_code == 201


async def test_a_name_that_is_taken_is_said_and_stays_as_it_is(service: Service) -> None:
    await joined(service, "there already")
    status, said = user(service.folder, "add", "there already", given="another password")
    assert (status, "this name is taken" in said) == (1, True)
    assert (await sign_in(service, "there already", "another password")).status_code == 401
    assert (await sign_in(service, "there already")).status_code == 200


async def test_another_password_signs_out_everywhere(service: Service) -> None:
    before = await joined(service, "compromised")
    new = "known to nobody else"
    status, said = user(service.folder, "password", "compromised", given=new)
    assert (status, "has to sign in again" in said) == (0, True)
    assert await before.rooms() == 401
    assert await reception(service, before.access) == REFUSALS.of(4504)
    assert (await renew(service, before.refresh)).status_code == 401
    assert (await sign_in(service, "compromised")).status_code == 401
    assert (await sign_in(service, "compromised", new)).status_code == 200


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("password", "nobody"), PASSWORD, "there is no user nobody"),
        (("add", "server"), PASSWORD, "a username has"),
        (("add", "brief"), "1234567", "a password has 8 to 128 characters"),
    ],
)
def test_what_cannot_be_done_is_said(
    service: Service, words: tuple[str, ...], given: str, said: str
) -> None:
    status, told = user(service.folder, *words, given=given)
    assert (status, said in told) == (1, True)


def test_a_password_is_no_argument(service: Service) -> None:
    """Where whoever is on the machine could read it."""
    status, said = user(service.folder, "add", "open", "--password=x")
    assert (status, "unrecognized arguments" in said) == (2, True)


async def test_real_users_begin_with_tables_and_an_admin(tmp_path: Path) -> None:
    """What comes too early is said, with what to do."""
    production = {
        "APP_ENVIRONMENT": "production",
        "APP_JWT_SECRET": "a secret of 32 characters or more",
        "APP_ALLOWED_ORIGINS": "https://app.example.com",
        **own_database(tmp_path, migrated=False),
    }
    status, said = command(tmp_path, "user", "add", "root", "--scope=admin", **production)
    assert (status, "run python -m app migrate" in said) == (1, True)
    assert command(tmp_path, "migrate", **production)[0] == 0
    assert command(tmp_path, "user", "add", "root", "--scope=admin", **production)[0] == 0
    with running(tmp_path, APP_REGISTRATION="true", **production) as service:
        root, other = await back(service, "root"), await joined(service, "a real user")
        assert [await each.rooms() for each in (root, other)] == [200, 200]
        async with service.rest(root.bearer) as http:
            assert (await http.get("/api/connections")).status_code == 200


@pytest.mark.parametrize(("again", "status"), [(PASSWORD, 0), ("something else", 1)])
async def test_on_a_terminal_it_is_asked_for_twice_and_not_shown(
    service: Service, again: str, status: int
) -> None:
    name = f"typed {status}"
    ended, shown = await asyncio.to_thread(type_in, service.folder, name, [PASSWORD, again])
    assert ended == status
    assert PASSWORD not in shown
    assert (await sign_in(service, name)).status_code == (401 if status else 200)


def type_in(folder: Path, name: str, passwords: Sequence[str]) -> tuple[int, str]:
    """What adding a user ends with on a terminal, and shows there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "app", "user", "add", name],
        cwd=folder,
        env=environment(own_database(folder)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,  # it has no other terminal
    ) as process:
        os.close(theirs)
        shown = b""
        for prompt, typed in zip((b"Password: ", b"Again: "), passwords, strict=True):
            while prompt not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, f"{typed}\n".encode())
        with suppress(OSError):  # nobody is at the other end any more
            while more := os.read(ours, 1000):
                shown += more
        os.close(ours)
        return process.wait(60), shown.decode()
