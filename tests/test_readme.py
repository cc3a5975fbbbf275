"""What the README of a generated project shows works as it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from string import Template
from threading import Timer
from time import monotonic, sleep
from types import ModuleType

import pytest

from .baking import ENVIRONMENT, Project
from .conftest import Bake, Mypy
from .options import samples, title

pytestmark = pytest.mark.parametrize("answers", samples(), ids=title)


SIGN_IN = "localhost:8000/auth/register", "localhost:8000/auth/token"


def blocks(project: Project, language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", project.text("README.md"), re.M | re.S)
    return [str(block) for block in found]


def commands(text: str) -> list[list[str]]:
    """The commands that a part of the README shows, split as a shell would."""
    shown = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.M | re.S))
    lines = shown.replace("\\\n", " ").split("\n")
    return [shlex.split(line[2:], comments=True) for line in lines if line[:2] == "$ "]


def section(project: Project, title: str) -> str:
    """What the README says under a heading."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", project.text("README.md"), re.M | re.S)
    return str(found)


@contextmanager
def serving(project: Project, python: Path, **settings: str) -> Iterator[str]:
    """The service in a process of its own; the address at which it listens."""
    log = project.path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [python, "-m", "app"],
            cwd=project.path,
            env=ENVIRONMENT | {"PYTHONPATH": "src", "APP_PORT": "0", **settings},
            stdout=output,
            stderr=output,
        )
    try:
        end = monotonic() + 20
        while not (found := re.search(r"http://(127\.0\.0\.1:[1-9]\d*)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert monotonic() < end, log.read_text()
            sleep(0.02)
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def project(
    answers: dict[str, str], fresh: Bake, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project whose database, where it needs a server for one, is there."""
    project = fresh(**answers)
    # The server may be a package that only the projects have.
    packages = map(str, tools.parent.glob("lib/python*/site-packages"))
    monkeypatch.setattr(sys, "path", [*sys.path, *packages])
    with ExitStack() as stack:
        for path in sorted(project.path.glob("dev/services/*.py")):
            for name, value in stack.enter_context(loaded(path).start(durable=False)).items():
                monkeypatch.setitem(ENVIRONMENT, name, value)
        yield project


def loaded(path: Path) -> ModuleType:
    """A module of the project's that no package has."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class RefusedError(Exception):
    """Status and answer of a request that was not granted."""


@contextmanager
def answered(
    command: list[str], address: str, jar: dict[str, str] | None = None
) -> Iterator[HTTPResponse]:
    """What a curl command of the README gets, without curl; `jar` is the file of -b and -c."""
    path = next(word for word in command if word.startswith("localhost:8000"))[14:]
    given = list(pairwise(command))
    headers = dict(value.split(": ", 1) for flag, value in given if flag == "-H")
    headers = {name: value.replace("localhost:8000", address) for name, value in headers.items()}
    if "-b" in command:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in (jar or {}).items())
    data = next((value for flag, value in given if flag == "-d"), None)
    if data is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    method = next((value for flag, value in given if flag == "-X"), "POST" if data else "GET")
    connection = HTTPConnection(address, timeout=10)
    connection.request(method, path, data, headers)
    with closing(connection), connection.getresponse() as response:
        if response.status >= 400:
            raise RefusedError(response.status, response.read().decode())
        if "-c" in command and jar is not None:
            name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
            jar[name] = value
        yield response


def curl(command: list[str], address: str, jar: dict[str, str] | None = None) -> object:
    """What a curl command of the README answers, or the first message where it goes on."""
    with answered(command, address, jar) as response:
        if response.status == 101:
            said = response.fp.read1().decode(errors="ignore")
            return json.JSONDecoder().raw_decode(said, said.index("{"))[0]
        return json.loads(response.read() or b"null")


def test_its_commands_do_what_it_says(project: Project, tools: Path, tmp_path: Path) -> None:
    told = commands(project.text("README.md"))
    assert ["APP_API_KEY=demo", "make", "run"] in told
    talk = commands(section(project, "Talk to it"))
    curls = [command for command in talk if command[0] == "curl"]
    with serving(project, tools / "python", APP_API_KEY="demo") as address:
        token = next((curl(c, address)["access_token"] for c in curls if "/auth" in c[-1]), "")
        published, history = (curl(c, address) for c in curls if "/auth" not in c[-1])
        assert history["messages"][-1]["offset"] == published["offset"] == 1

        (script, *_) = blocks(project, "python")
        (tmp_path / "script.py").write_text(script.replace("127.0.0.1:8000", address))
        environment = ENVIRONMENT | {"PYTHONPATH": str(project.path / "src")}
        process = subprocess.Popen(
            [tools / "python", "-u", tmp_path / "script.py"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
            said = [process.stdout.readline() for _ in range(2)]
        finally:
            process.kill()
            process.communicate()
    assert "'text': 'hello'" in said[0]
    assert "'text': 'hello'" in said[1]


def declare(project: Project, module: str, mypy: Mypy) -> None:
    """Make a namespace of a module, as the README says, and check the project."""
    (project.path / "src/app/features/polls.py").write_text(module, encoding="utf-8")
    adapters = project.path / "src/app/adapters.py"
    edited = re.sub(r"(from \.features import .*)", r"\1, polls", adapters.read_text("utf-8"))
    edited = re.sub(r"^(FEATURES.*)\)", r"\1, polls.feature)", edited, flags=re.MULTILINE)
    adapters.write_text(edited, encoding="utf-8")

    project.run("ruff", "check", "--no-cache", "src")
    project.run("ruff", "format", "--no-cache", "--check", "src")
    project.run(*mypy, "src/app/adapters.py")


def vote(address: str, poll: str, choice: str) -> object:
    """Vote in a poll, with the key."""
    say = ["-H", "X-API-Key: demo", "-H", "Content-Type: application/json", "-d"]
    url = f"localhost:8000/api/channels/polls:{poll}/messages"
    return curl([url, *say, json.dumps({"data": {"choice": choice}})], address)


def refusal(address: str, poll: str, choice: str) -> tuple[int, str]:
    """Status and answer of a vote that is refused."""
    with pytest.raises(RefusedError) as refused:
        vote(address, poll, choice)
    status, text = refused.value.args
    return status, text


class Terminal:
    """A terminal in which `uv run websockets` is connected."""

    def __init__(self, python: Path, url: str, typed: str) -> None:
        command = [python, "-u", "-m", "websockets", url]
        pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        self._process = subprocess.Popen(command, env=ENVIRONMENT, encoding="utf-8", **pipes)
        self._process.stdin.write(typed)
        self._process.stdin.flush()

    def hears(self, pattern: str) -> str:
        """What it shows first that looks like this."""
        limit = Timer(20, self._process.kill)
        limit.start()
        try:
            for line in self._process.stdout:
                if found := re.search(pattern, line):
                    return found[0]
        finally:
            limit.cancel()
        pytest.fail(f"it has not shown {pattern}")

    def close(self) -> None:
        """Leave."""
        self._process.kill()
        self._process.communicate()


def test_who_is_connecting_is_proven_as_it_says(
    answers: dict[str, str], project: Project, tools: Path
) -> None:
    # The first makes an account, where there are any.
    ways = [words for words in commands(project.text("README.md")) if words[-1] in SIGN_IN]
    *told, kick = commands(section(project, "Who is connecting"))
    assert kick[-1] == "localhost:8000/api/connections?user=ada"
    known: dict[str, str] = {}
    jar: dict[str, str] = {}
    with serving(project, tools / "python", APP_API_KEY="demo") as address, ExitStack() as stack:

        def sign_in(ways: list[list[str]]) -> None:
            for command in ways:
                known["TOKEN"] = curl(command, address)["access_token"]

        def follow(command: list[str]) -> object:
            """Do what the README says; what the service answers first."""
            words = [Template(word).safe_substitute(known) for word in command]
            if words[0] == "curl":
                return curl(words, address, jar)
            url = words[-1].replace("localhost:8000", address)
            first = json.dumps({"type": "auth", "token": known.get("TOKEN", "")})
            typed = f"{first}\n" if answers["auth"] == "first_message" else ""
            terminals.append(stack.enter_context(closing(Terminal(tools / "python", url, typed))))
            return json.loads(terminals[-1].hears(r'\{"type":"welcome".*\}'))

        terminals: list[Terminal] = []
        sign_in(ways[:1])
        for command in told:
            answer = follow(command)
            if "websocket" in " ".join(command):
                assert answer["type"] == "welcome"
                known.setdefault("TOKEN", answer.get("guest_token", ""))
                user = answer["user"]["id"]
            elif command[-1].endswith("/auth/ticket"):
                known["TICKET"] = answer["ticket"]
        (read,) = [command for command in told if command[-1].endswith("/messages")]
        if answers["auth"] != "none":
            assert user == "ada"
            for terminal in terminals:
                assert terminal.hears("4504")
            with pytest.raises(RefusedError, match="401"):
                follow(read)

        sign_in(ways[-1:])
        follow(told[0])
        follow(read)
        follow([word.replace("ada", user) for word in kick])
        with pytest.raises(RefusedError, match="401"):
            follow(read)


def test_accounts_answer_as_it_says(answers: dict[str, str], project: Project, tools: Path) -> None:
    if "none" in (answers["auth"], answers["persistence"]):
        assert "## Accounts" not in project.text("README.md")
        return
    told = commands(section(project, "Accounts"))
    register, sign_in, refresh, leave, leave_all = [each for each in told if each[0] == "curl"]
    add, change = [each[each.index("user") :] for each in told if each[0] == "uv"]
    known: dict[str, str] = {}
    with serving(project, tools / "python") as address:

        def ask(command: list[str]) -> None:
            answer = curl([Template(word).safe_substitute(known) for word in command], address)
            if answer is not None:
                known.update(TOKEN=answer["access_token"], REFRESH=answer["refresh_token"])

        def refused(command: list[str], status: int) -> None:
            with pytest.raises(RefusedError) as refusal:
                ask(command)
            assert refusal.value.args[0] == status

        for command in (register, sign_in, refresh, leave):
            ask(command)
        for command, status in ((refresh, 401), (leave, 401), (register, 409)):
            refused(command, status)
        ask(sign_in)
        ask(leave_all)
        refused(refresh, 401)
        ask(sign_in)
        for words in (add, change):
            command = [tools / "python", "-m", "app", *words]
            project.run(*command, PYTHONPATH="src", text="another password\n")
        for command in (refresh, leave, sign_in):
            refused(command, 401)


def test_the_first_edit_works(project: Project, tools: Path, mypy: Mypy) -> None:
    module = blocks(project, "python")[1]
    declare(project, module, mypy)
    with serving(project, tools / "python", APP_API_KEY="demo") as address:
        assert vote(address, "lunch", "yes")["offset"] == 1
        status, answer = refusal(address, "lunch", "maybe")
        assert status == 422
        assert "choice" in answer


def migrate(project: Project, tools: Path, mypy: Mypy) -> None:
    """Write a migration as the README says, find it in shape, and have a poll in its table."""
    told = [command for command in commands(project.text("README.md")) if "migration" in command]
    assert told == [["make", "migration", "m=add polls"]]
    uv = project.path / "uv"
    uv.write_text('#!/bin/sh\nshift\ncase $1 in dev/*) set -- python "$@";; esac\nexec "$@"\n')
    uv.chmod(0o755)
    path = f"{tools}{os.pathsep}{ENVIRONMENT['PATH']}"
    project.run(*told[0], f"UV={uv}", PATH=path, PYTHONPATH="src")
    (written,) = (project.path / "src/app/database/migrations/versions").glob("*_add_polls.py")
    project.run("ruff", "check", "--no-cache", "src")
    project.run(*mypy, written)
    program = """
import asyncio
from app.adapters import open_history
from app.database.models import Poll

async def main():
    async with open_history() as history, history.database.session(writes=True) as session:
        session.add(Poll(channel="polls:lunch"))
        await session.commit()

asyncio.run(main())
"""
    project.run(tools / "python", "-c", program, PYTHONPATH="src")


def test_a_rule_that_looks_something_up_works_and_can_be_tested(
    project: Project, tools: Path, mypy: Mypy
) -> None:
    (_, module, *tables, rule) = blocks(project, "python")
    for table in tables:
        models = project.path / "src/app/database/models.py"
        models.write_text(f"{models.read_text('utf-8')}\n\n{table}", encoding="utf-8")
        migrate(project, tools, mypy)
    (head, *body, _), (imports, *rest) = module.split("\n\n\n"), rule.split("\n\n\n")
    whole = project.path / "whole.py"
    whole.write_text("\n\n\n".join([f"{head}\n{imports}", *body, *rest]), encoding="utf-8")
    project.run("ruff", "check", "--no-cache", "--select", "I", "--fix", whole)
    declare(project, whole.read_text("utf-8"), mypy)
    with serving(project, tools / "python", APP_API_KEY="demo") as address:
        assert vote(address, "lunch", "yes")["offset"] == 1
        assert refusal(address, "dinner", "yes")[0] == 403

    (override,) = re.findall(r"`(app\.dependency_overrides.*)`", project.text("README.md"))
    program = f"""
from fastapi.testclient import TestClient
from app.features.polls import open_polls
from app.main import app

{override}
with TestClient(app, headers={{"X-API-Key": "demo"}}) as client:
    for poll in ("lunch", "dinner"):
        path = f"/api/channels/polls:{{poll}}/messages"
        answer = client.post(path, json={{"data": {{"choice": "yes"}}}})
        print(answer.status_code)
"""
    done = project.run(tools / "python", "-c", program, PYTHONPATH="src", APP_API_KEY="demo")
    assert done.stdout.split() == ["403", "201"]


def test_its_commands_for_the_database_do_what_it_says(project: Project, tools: Path) -> None:
    if "## The database" not in project.text("README.md"):
        return
    told = [command[3:] for command in commands(section(project, "The database"))]
    assert told == [["-m", "app", "migrate"], ["-m", "app", "rotate-epochs"]]
    secret = "a secret of 32 characters or more"
    settings = {"APP_ENVIRONMENT": "production", "APP_ALLOWED_ORIGINS": "https://app.example.com"}
    settings |= {"APP_API_KEY": secret, "APP_JWT_SECRET": secret}

    def follow(command: list[str]) -> str:
        return project.run(tools / "python", *command, PYTHONPATH="src", **settings).stdout

    def ready(address: str) -> tuple[int, str]:
        connection = HTTPConnection(address, timeout=10)
        connection.request("GET", "/readyz")
        with closing(connection), connection.getresponse() as response:
            return response.status, response.read().decode()

    with serving(project, tools / "python", **settings) as address:
        status, said = ready(address)
        assert status == 503
        assert "run python -m app migrate" in said
        follow(told[0])
        while ready(address)[0] == 503:
            sleep(0.1)
        say = json.dumps({"data": {"text": "hello"}})
        post = ["-d", say, "-H", "Content-Type: application/json", "-H", f"X-API-Key: {secret}"]
        url = "localhost:8000/api/channels/chat:lobby/messages"
        before = curl([url, *post], address)["epoch"]
        assert "new epoch: 1;" in follow(told[1])
        read = [url, "-H", f"X-API-Key: {secret}"]
        assert curl(read, address)["epoch"] != before
