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


def round_trip(prompt: str) -> list[tuple[str, str, str]]:
    """From each answer to the next, and back to the first."""
    answers = CHOICES[prompt]
    return [(prompt, *pair) for pair in pairwise([*answers, answers[0]])]


MOVES = [("auth", "first_message", "none"), *round_trip("auth")]
MOVES += [*round_trip("persistence"), ("persistence", "none", "postgresql")]
MOVES += [*round_trip("broker")]


@pytest.mark.parametrize(("prompt", "old", "new"), MOVES)
def test_another_answer_equals_a_fresh_project(
    prompt: str, old: str, new: str, template: Path, tmp_path: Path
) -> None:
    project = create(template, tmp_path / "old", **{prompt: old})
    assert tree(project) != tree(expected := create(template, tmp_path / "new", **{prompt: new}))
    mine = {"uv.lock": "the user's\n"}
    if old != "none" and new != "none":
        mine["src/app/database/migrations/versions/0002_mine.py"] = '"""The user\'s."""\n'
    for name, text in mine.items():
        (project / name).write_text(text, encoding="utf-8")
    commit(project, "Mine")
    variables = ["--variables-to-update", json.dumps({prompt: new})]
    run("cruft", "update", "--skip-apply-ask", *variables, cwd=project)
    for name, text in mine.items():
        assert (project / name).read_text(encoding="utf-8") == text
        (project / name).unlink()
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


@pytest.mark.parametrize(("prompt", "answer"), [("persistence", "postgresql"), ("broker", "redis")])
def test_make_update_moves_to_a_server(
    prompt: str, answer: str, template: Path, tmp_path: Path
) -> None:
    project = create(template, tmp_path / "old")
    run("make", "update", f"{prompt}={answer}", cwd=project)
    expected = create(template, tmp_path / "new", **{prompt: answer})
    assert tree(project) == tree(expected)
    assert run("git", "diff", "--check", cwd=project).stdout == ""
    assert not list(project.rglob("*.rej"))


def test_make_update_refuses_answers_that_nobody_asked_for(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path / "old")
    done = run("make", "update", "autth=none", cwd=project, fails=True)
    assert "No such answer: autth" in done.stderr
