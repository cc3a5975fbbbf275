"""Every combination of answers gives a project that is whole, clean, and holds nothing else."""

import json
from pathlib import Path

import pytest

from . import checks
from .baking import Project
from .conftest import Bake, Mypy
from .options import combinations, title

EXPECTED = {
    ".cookiecutter.json",
    ".editorconfig",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "dev/fresh_env.py",
    "pyproject.toml",
    "src/app/__main__.py",
    "src/app/adapters.py",
    "src/app/main.py",
    "src/client/__init__.py",
    "tests/conftest.py",
}

pytestmark = pytest.mark.parametrize("answers", list(combinations()), ids=title)


@pytest.fixture
def project(answers: dict[str, str], bake: Bake) -> Project:
    """The project that the answers give."""
    return bake(**answers)


def test_it_is_whole(project: Project) -> None:
    assert project.files.keys() >= EXPECTED
    folders = [path for path in project.path.rglob("*") if path.is_dir()]
    assert [folder for folder in folders if not any(folder.iterdir())] == []
    assert not [name for name in project.files if name.startswith("licenses/")]
    assert not [name for name in project.files if "__pycache__" in name or "_cache/" in name]


def test_it_has_no_traces_of_the_template(project: Project) -> None:
    assert checks.leftovers(project) == []


def test_it_says_no_word_of_other_answers(project: Project, answers: dict[str, str]) -> None:
    assert checks.words(project, answers) == []


def test_it_imports_what_it_declares(project: Project) -> None:
    assert checks.dependencies(project) == []


def test_it_tests_what_it_has(project: Project) -> None:
    assert checks.tests_without_subject(project) == []


def test_git_ignores_what_its_servers_keep(project: Project, answers: dict[str, str]) -> None:
    served = bool(checks.SERVERS & answers.items())
    assert (".services/" in project.text(".gitignore").split()) is served


def test_it_records_its_answers(project: Project, answers: dict[str, str]) -> None:
    told = json.loads(project.text(".cookiecutter.json"))["cookiecutter"]
    assert told == told | answers


def test_lint_and_format_find_nothing(project: Project) -> None:
    """So they change nothing either; `make format` is tried with the suites."""
    project.run("ruff", "check", "--no-cache", ".")
    project.run("ruff", "format", "--no-cache", "--check", ".")


def test_types_and_imports_are_right(project: Project, tools: Path, mypy: Mypy) -> None:
    # mypy takes a file of the same second and length, such as another answer's, for the same.
    (project.path / "src/app/adapters.py").touch()
    project.run(*mypy)
    project.run(tools / "lint-imports", "--no-cache", PYTHONPATH="src")


def test_its_example_of_settings_is_complete(
    project: Project, answers: dict[str, str], tools: Path
) -> None:
    listed = {
        line.lstrip("# ").partition("=")[0]
        for line in project.text(".env.example").splitlines()
        if "APP_" in line and "=" in line
    }
    program = """
import app.main
from app.settings import Section

def fields(section):
    for child in section.__subclasses__():
        yield from (f"APP_{name}".upper() for name in child.model_fields)
        yield from fields(child)

print(*sorted(set(fields(Section))))
"""
    required = {
        "postgresql": {"APP_DATABASE_URL": "postgresql://localhost/none"},
        "redis": {"APP_REDIS_URL": "redis://localhost"},
    }
    given: dict[str, str] = {}
    for answer in answers.values():
        given |= required.get(answer, {})
    declared = project.run(
        tools / "python", "-c", program, PYTHONPATH="src", **given
    ).stdout.split()
    # Where no first message is waited for, nobody needs to know how long that may take.
    idle = set() if answers["auth"] == "first_message" else {"APP_AUTH_SECONDS"}
    assert listed == set(declared) - idle


def test_its_license_is_the_one_chosen(answers: dict[str, str], bake: Bake) -> None:
    chosen = answers["license"]
    project = bake(license=chosen, author="Ada & Söhne")  # whatever else it is made of
    text = project.text("LICENSE")
    assert "Ada & Söhne" in text
    first = {"Proprietary": "Copyright", "Apache-2.0": "Apache License"}
    assert text.split("\n")[0].strip().startswith(first.get(chosen, chosen.partition("-")[0]))
    declared = f'license = "{chosen}"' in project.text("pyproject.toml")
    assert declared is (chosen != "Proprietary")
