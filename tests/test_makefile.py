"""The repository's own commands say what is missing, and what to type."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from .baking import copy_of_template, run
from .conftest import Bake


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The template on a machine where nothing was set up."""
    return copy_of_template(tmp_path / "clone")


def python(folder: Path, script: str) -> Path:
    """A command that stands for some machine's Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_make_alone_lists_the_targets(clone: Path) -> None:
    listed = run("make", cwd=clone).stdout
    assert [line.split()[1] for line in listed.splitlines()] == [
        *("help", "run", "play", "test", "check", "format", "benchmark", "faults", "clean"),
    ]


def test_a_second_run_goes_on_with_the_project_of_the_first(clone: Path) -> None:
    project = clone / ".baked" / "run" / "my-service"
    for folder in (clone / ".venv", project):
        folder.mkdir(parents=True)
    for stamp in (".made-by-python3", ".run"):
        (clone / ".venv" / stamp).touch()
    (project / "Makefile").write_text("run:\n\t@echo served as it was left\n", encoding="utf-8")
    said = run("make", "run", cwd=clone).stdout
    assert "served as it was left" in said
    assert f"Starting {project}; make clean removes it." in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            "auth=nonsense",
            "nonsense provided for choice variable auth, but the choices are ['first",
        ),
        ("auht=none", "No prompt is called auht; they are: project_name project_slug description"),
        ("project_slug=my service", "project_slug is at most 45 letters"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_a_sentence(
    answer: str, said: str, clone: Path
) -> None:
    (clone / ".venv").mkdir()
    for stamp in (".made-by-python3", ".run"):
        (clone / ".venv" / stamp).touch()
    done = run("make", "play", answer, cwd=clone, fails=True)
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (clone / ".baked" / "play").exists()


@pytest.mark.parametrize("script", ["exit 1", "exec no-such-command"])
def test_an_old_or_missing_python_is_named(script: str, clone: Path, tmp_path: Path) -> None:
    old = python(tmp_path, script)
    done = run("make", "run", f"PYTHON={old}", cwd=clone, fails=True)
    assert f"{old} is not Python 3.11 or newer; name one that is: make run PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_cured_by_apt(clone: Path, tmp_path: Path) -> None:
    bare = python(tmp_path, 'case "$2" in venv) mkdir .venv; exit 1;; esac')
    done = run("make", "test", f"PYTHON={bare}", cwd=clone, fails=True)
    assert "apt install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def secrets(env: Path) -> dict[str, str]:
    """What a `.env` sets."""
    lines = env.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_a_project_gets_secrets_of_its_own(fresh: Bake, tmp_path: Path) -> None:
    project = fresh()
    env = project.path / ".env"
    said = project.run(sys.executable, "dev/fresh_env.py").stdout
    assert said.count("\n") == 1
    assert "production" in said
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    first = secrets(env)
    assert first.keys() == {"APP_JWT_SECRET", "APP_API_KEY"}
    assert len(set(first.values())) == 2
    assert min(map(len, first.values())) >= 32

    env.unlink()
    run(sys.executable, project.path / "dev/fresh_env.py", cwd=tmp_path)
    assert not set(first.values()) & set(secrets(env).values()), "others, and in the same place"


def test_a_project_keeps_the_secrets_that_it_has(fresh: Bake) -> None:
    project = fresh()
    env = project.path / ".env"
    env.write_text("mine\n", encoding="utf-8")
    assert "stays" in project.run(sys.executable, "dev/fresh_env.py").stdout
    assert env.read_text(encoding="utf-8") == "mine\n"


@pytest.mark.skipif(
    shutil.which("git") is None and os.environ.get("REQUIRE_SERVICES") != "1",
    reason="needs git: apt install git",
)
def test_git_ignores_the_secrets(fresh: Bake) -> None:
    project = fresh()
    project.run("git", "init", "--quiet")
    project.run(sys.executable, "dev/fresh_env.py")
    assert (
        "?? .env\n" not in project.run("git", "status", "--short", "--untracked-files=all").stdout
    )
    project.run("git", "check-ignore", ".env")
