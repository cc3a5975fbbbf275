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


def test_the_first_edit_works(answers: dict[str, str], fresh: Bake, tools: Path) -> None:
    project = fresh(**answers)
    (_, module) = blocks(project, "python")
    (project.path / "src/app/features/polls.py").write_text(module, encoding="utf-8")
    adapters = project.path / "src/app/adapters.py"
    edited = re.sub(r"(from \.features import .*)", r"\1, polls", adapters.read_text("utf-8"))
    edited = re.sub(r"^(FEATURES.*)\)", r"\1, polls.feature)", edited, flags=re.MULTILINE)
    adapters.write_text(edited, encoding="utf-8")

    project.run("ruff", "check", "--no-cache", "src")
    project.run("ruff", "format", "--no-cache", "--check", "src")
    project.run(tools / "mypy", "--cache-dir", os.devnull, "src/app/adapters.py")
    with serving(project, tools / "python", APP_API_KEY="demo") as address:
        say = ["-H", "X-API-Key: demo", "-H", "Content-Type: application/json", "-d"]
        url = "localhost:8000/api/channels/polls:lunch/messages"
        assert curl([url, *say, '{"data": {"choice": "yes"}}'], address)["offset"] == 1
        with pytest.raises(HTTPError) as refused:
            curl([url, *say, '{"data": {"choice": "maybe"}}'], address)
        assert refused.value.code == 422
        assert "choice" in refused.value.read().decode()
        refused.value.close()
