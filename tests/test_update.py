"""A project follows its template, and moves to other answers, as a clean patch."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from .baking import commit, run, tree
from .options import CHOICES

if shutil.which("git") is None and os.environ.get("REQUIRE_SERVICES") != "1":
    pytest.skip("updates need git: apt install git", allow_module_level=True)


def create(template: Path, folder: Path, **answers: str) -> Path:
    """A project that cruft made, committed."""
    folder.mkdir()
    told = json.dumps({"project_slug": "chat", **answers})
    run("cruft", "create", template, "--no-input", "--extra-context", told, cwd=folder)
    commit(folder / "chat", "A project")
    return folder / "chat"


@pytest.fixture
def released(template: Path, tmp_path: Path) -> Path:
    """A clone of the template in which a test may commit."""
    run("git", "clone", "--quiet", template, "released", cwd=tmp_path)
    return tmp_path / "released"


def release(template: Path) -> None:
    """Change something in each kind of file: rendered, copied, new, gone."""
    project = template / "{{cookiecutter.project_slug}}"
    readme, module = project / "README.md", project / "src/app/__init__.py"
    readme.write_text(readme.read_text(encoding="utf-8") + "\nMore.\n", encoding="utf-8")
    module.write_text(module.read_text(encoding="utf-8") + "# More.\n", encoding="utf-8")
    (project / "tests/test_more.py").write_text('"""More."""\n', encoding="utf-8")
    (project / ".editorconfig").unlink()
    commit(template, "More")


MODES = CHOICES["auth"]


@pytest.mark.parametrize(("old", "new"), [("first_message", "none"), *pairwise([*MODES, MODES[0]])])
def test_another_answer_equals_a_fresh_project(
    old: str, new: str, template: Path, tmp_path: Path
) -> None:
    project = create(template, tmp_path / "old", auth=old)
    assert tree(project) != tree(expected := create(template, tmp_path / "new", auth=new))
    (project / "uv.lock").write_text("the user's\n")
    commit(project, "Lock")
    variables = ["--variables-to-update", json.dumps({"auth": new})]
    run("cruft", "update", "--skip-apply-ask", *variables, cwd=project)
    assert (project / "uv.lock").read_text() == "the user's\n"
    (project / "uv.lock").unlink()
    assert tree(project) == tree(expected)


def test_an_update_equals_a_fresh_project(released: Path, tmp_path: Path) -> None:
    project = create(released, tmp_path / "old", author="Ada")
    release(released)
    run("cruft", "update", "--skip-apply-ask", cwd=project)
    assert tree(project) == tree(create(released, tmp_path / "new", author="Ada"))


def test_make_update_joins_a_project_made_by_cookiecutter(released: Path, tmp_path: Path) -> None:
    answers = ["project_slug=chat", "author=Ada", "auth=none"]
    run("cookiecutter", released, "--no-input", *answers, cwd=tmp_path, HOME=str(tmp_path))
    project = tmp_path / "chat"
    (project / "src/app/mine.py").write_text('"""The user\'s."""\n', encoding="utf-8")
    commit(project, "A project")
    release(released)
    wanted = ["auth=first_message", "author=Ada & O'Brien"]
    run("make", "update", f"template={released}", *wanted, cwd=project)
    (project / "src/app/mine.py").unlink()
    expected = create(released, tmp_path / "new", author="Ada & O'Brien", auth="first_message")
    assert tree(project) == tree(expected)


def test_make_update_refuses_answers_that_nobody_asked_for(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path / "old")
    done = run("make", "update", "autth=none", cwd=project, fails=True)
    assert "No such answer: autth" in done.stderr
