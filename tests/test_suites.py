"""The projects' own commands: what a user types first passes untouched. This takes minutes."""

import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Callable
from itertools import takewhile
from socket import socket
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from local_extensions import TAKEN

from .baking import ENVIRONMENT, Project, run, tree
from .conftest import Bake
from .options import samples, title

BELOW = ("database", "durability", "server")
"""Folders for what is below every door: outages, kills, frames, bytes and signals."""

ENGINE = (*BELOW, "broker", "coordination", "history", "presence", "protocol", "realtime")
"""The folders of `src/app` and of `tests` for what comes to know a connection as a Principal."""

TEST = re.compile(r"tests/.*/test_\w+\.py")

CONNECTS = re.compile(r"^from \.+(service|doors)\b|\b(connect: Connect|service: Service)\b", re.M)
"""How tests of these folders give away that they go through a door, to the project that runs."""


@pytest.fixture(scope="module", params=samples(), ids=title)
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a project is made of."""
    return dict(request.param)


@pytest.fixture(scope="module")
def project(answers: dict[str, str], bake: Bake) -> Project:
    """A project after `make setup`."""
    project = bake(**answers)
    project.run("make", "setup")
    return project


def parts(project: Project, *names: str) -> dict[str, bytes]:
    """What a project has in these folders of its source and of its tests."""
    folders = tuple(f"{root}/{name}/" for name in names for root in ("src/app", "tests"))
    return {name: data for name, data in project.files.items() if name.startswith(folders)}


def repeated(project: Project, answers: dict[str, str], bake: Bake) -> list[str]:
    """Tests that would run as they do in a project before this one; the first project runs all.

    These are the tests of a part of the engine in memory and in virtual time, where the part and
    its tests are, byte for byte, what that project has; and those of what is below every door,
    where the whole engine is. All else that goes through a door runs in every project.
    """
    before = [bake(**other) for other in takewhile(lambda other: other != answers, samples())]

    def known(*names: str) -> bool:
        return any(parts(project, *names) == parts(other, *names) for other in before)

    def tests(*names: str) -> set[str]:
        return {name for name in parts(project, *names) if TEST.fullmatch(name)}

    same = tests(*(part for part in ENGINE if known(part)))
    through = {name for name in same if CONNECTS.search(project.text(name))}
    return sorted((same - through) | (tests(*BELOW) if known(*ENGINE) else set()))


def test_make_setup_made_secrets_that_stay(project: Project) -> None:
    """The suite below runs beside this file, and does not read it."""
    made = (project.path / ".env").read_text(encoding="utf-8")
    project.run("make", "setup")
    assert (project.path / ".env").read_text(encoding="utf-8") == made


def test_it_may_be_called_like_none_of_its_packages(project: Project) -> None:
    lock = tomllib.loads((project.path / "uv.lock").read_text(encoding="utf-8"))
    names = {package["name"] for package in lock["package"]} - {project.path.name}
    assert names - TAKEN == set(), "add these to PACKAGES in local_extensions.py"


def test_make_alone_lists_the_targets(project: Project, answers: dict[str, str]) -> None:
    listed = set(re.findall(r"^make (\w+) ", project.run("make").stdout, re.MULTILINE))
    everywhere = {"help", "setup", "run", "test", "check", "format", "update"}
    tables = set() if answers["persistence"] == "none" else {"migrate", "migration"}
    assert listed == everywhere | tables


def test_make_migration_asks_what_it_does(project: Project, answers: dict[str, str]) -> None:
    if answers["persistence"] != "none":
        done = run("make", "migration", cwd=project.path, fails=True)
        assert 'make migration m="' in done.stderr


@pytest.mark.timeout(600)
def test_make_check_passes(project: Project) -> None:
    project.run("make", "check")


@pytest.mark.timeout(900)
def test_make_test_passes(
    project: Project,
    answers: dict[str, str],
    bake: Bake,
    record_property: Callable[[str, object], None],
) -> None:
    left_out = repeated(project, answers, bake)
    args = [f"args={' '.join(f'--ignore={name}' for name in left_out)}"] if left_out else []
    said = project.run("make", "test", *args).stdout.strip().splitlines()[-1]
    record_property("said", said.strip("= "))


def test_make_format_changes_nothing(project: Project) -> None:
    project.run("make", "format")
    now = tree(project.path)
    assert {name: now.get(name) for name in project.files} == project.files


def answer(url: str, process: subprocess.Popen[str]) -> str:
    """What a service that is starting answers as soon as it does."""
    end = monotonic() + 60
    while True:
        try:
            with urlopen(url, timeout=10) as response:
                return str(response.read().decode())
        except URLError:
            assert process.poll() is None, process.communicate()[0]
            assert monotonic() < end
            sleep(0.05)


def test_make_run_serves_until_ctrl_c(project: Project, answers: dict[str, str]) -> None:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["make", "run"],
        cwd=project.path,
        env=ENVIRONMENT | {"APP_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        assert "<html" in answer(f"http://127.0.0.1:{port}/", process)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert f"http://127.0.0.1:{port}" in said
    assert "Traceback" not in said
    own = answers["persistence"] == "postgresql"
    assert ("postgresql of its own: postgresql://" in said) is own
    left = list(project.path.glob(".services/*/data/postmaster.pid"))
    assert not left, "a server that goes on"


def test_without_uv_it_says_where_to_get_it(project: Project) -> None:
    done = project.run("make", "-k", "setup", "UV=", fails=True)
    assert "This needs uv" in done.stderr
