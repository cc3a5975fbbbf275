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
from .repeats import repeated


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
    before = [bake(**other) for other in takewhile(lambda other: other != answers, samples())]
    left_out = repeated(project, before)
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
    for server in ("postgresql", "redis"):
        assert (f"{server} of its own: {server}://" in said) is (server in answers.values())
    for _, port in re.findall(r"of its own: (\w+)://[^:]*:(\d+)/", said):
        with socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port))), "a server that goes on"


def test_without_uv_it_says_where_to_get_it(project: Project) -> None:
    done = project.run("make", "-k", "setup", "UV=", fails=True)
    assert "This needs uv" in done.stderr
