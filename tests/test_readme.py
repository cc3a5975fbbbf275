"""What the README of a generated project shows works as it stands there."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from .baking import ENVIRONMENT, Project
from .conftest import Bake
from .options import combinations, title

pytestmark = pytest.mark.parametrize("answers", list(combinations()), ids=title)


def blocks(project: Project, language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", project.text("README.md"), re.M | re.S)
    return [str(block) for block in found]


def commands(project: Project) -> list[list[str]]:
    """The commands that the README shows, split as a shell would."""
    text = "\n".join(blocks(project, "console")).replace("\\\n", " ")
    return [shlex.split(line[2:], comments=True) for line in text.split("\n") if line[:2] == "$ "]


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


def curl(command: list[str], address: str) -> object:
    """Do what a curl command of the README does, without curl."""
    url = next(word for word in command if word.startswith("localhost:8000"))
    given = list(pairwise(command))
    headers = dict(value.split(": ", 1) for flag, value in given if flag == "-H")
    data = next((value.encode() for flag, value in given if flag == "-d"), None)
    request = Request(f"http://{url.replace('localhost:8000', address)}", data, headers)
    with urlopen(request, timeout=10) as response:
        return json.load(response)


def test_its_commands_do_what_it_says(
    answers: dict[str, str], fresh: Bake, tools: Path, tmp_path: Path
) -> None:
    project = fresh(**answers)
    told = commands(project)
    assert ["APP_API_KEY=demo", "make", "run"] in told
    curls = [command for command in told if command[0] == "curl"]
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


def declare(project: Project, module: str, tools: Path) -> None:
    """Make a namespace of a module, as the README says, and check the project."""
    (project.path / "src/app/features/polls.py").write_text(module, encoding="utf-8")
    adapters = project.path / "src/app/adapters.py"
    edited = re.sub(r"(from \.features import .*)", r"\1, polls", adapters.read_text("utf-8"))
    edited = re.sub(r"^(FEATURES.*)\)", r"\1, polls.feature)", edited, flags=re.MULTILINE)
    adapters.write_text(edited, encoding="utf-8")

    project.run("ruff", "check", "--no-cache", "src")
    project.run("ruff", "format", "--no-cache", "--check", "src")
    project.run(tools / "mypy", "--cache-dir", os.devnull, "src/app/adapters.py")


def vote(address: str, poll: str, choice: str) -> object:
    """Vote in a poll, with the key."""
    say = ["-H", "X-API-Key: demo", "-H", "Content-Type: application/json", "-d"]
    url = f"localhost:8000/api/channels/polls:{poll}/messages"
    return curl([url, *say, json.dumps({"data": {"choice": choice}})], address)


def refusal(address: str, poll: str, choice: str) -> tuple[int, str]:
    """Status and answer of a vote that is refused."""
    with pytest.raises(HTTPError) as refused:
        vote(address, poll, choice)
    with refused.value as answer:
        return answer.code, answer.read().decode()


def test_the_first_edit_works(answers: dict[str, str], fresh: Bake, tools: Path) -> None:
    project = fresh(**answers)
    (_, module, _) = blocks(project, "python")
    declare(project, module, tools)
    with serving(project, tools / "python", APP_API_KEY="demo") as address:
        assert vote(address, "lunch", "yes")["offset"] == 1
        status, answer = refusal(address, "lunch", "maybe")
        assert status == 422
        assert "choice" in answer


def test_a_rule_that_looks_something_up_works_and_can_be_tested(
    answers: dict[str, str], fresh: Bake, tools: Path
) -> None:
    project = fresh(**answers)
    (_, module, rule) = blocks(project, "python")
    (head, *body, _), (imports, *rest) = module.split("\n\n\n"), rule.split("\n\n\n")
    whole = project.path / "whole.py"
    whole.write_text("\n\n\n".join([f"{head}\n{imports}", *body, *rest]), encoding="utf-8")
    project.run("ruff", "check", "--no-cache", "--select", "I", "--fix", whole)
    declare(project, whole.read_text("utf-8"), tools)
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
