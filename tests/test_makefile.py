"""The repository's own commands say what is missing, and what to type."""

from pathlib import Path

import pytest

from .baking import copy_of_template, run


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
