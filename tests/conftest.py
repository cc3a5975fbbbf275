"""What tests are given: projects, an environment with every tool, the template as released."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from local_extensions import VERSION

from .baking import Project, bake_into, commit, copy_of_template, run
from .options import ROOT, samples

pytest_plugins = ["tests.workers"]

Bake = Callable[..., Project]
Mypy = tuple[Path | str, ...]


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """A project by its answers, the same one for the same answers: do not change what is in it."""
    projects: dict[object, Project] = {}

    def bake(template: Path = ROOT, **answers: str) -> Project:
        key = (template, *sorted(answers.items()))
        if key not in projects:
            projects[key] = bake_into(tmp_path_factory.mktemp("bake"), template, answers)
        return projects[key]

    return bake


@pytest.fixture
def fresh(tmp_path: Path) -> Bake:
    """A project by its answers, for this test alone."""

    def bake(template: Path = ROOT, **answers: str) -> Project:
        return bake_into(tmp_path, template, answers)

    return bake


@pytest.fixture(scope="session")
def tools(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment with what all projects need, to check many of them quickly."""
    environment = tmp_path_factory.mktemp("tools") / "environment"
    needed: set[str] = set()
    for answers in samples():
        metadata = tomllib.loads(bake(**answers).text("pyproject.toml"))
        needed |= {*metadata["project"]["dependencies"], *metadata["dependency-groups"]["dev"]}
    run("uv", "venv", "--quiet", environment, cwd=environment.parent)
    install = ("uv", "pip", "install", "--quiet", "--python", environment)
    run(*install, *sorted(needed), cwd=environment.parent)
    return environment / "bin"


@pytest.fixture(scope="session")
def mypy(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Mypy:
    """The command that checks types, and remembers those of packages."""
    return tools / "mypy", "--cache-dir", tmp_path_factory.getbasetemp() / "mypy_cache"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template in a repository of its own, tagged as released."""
    folder = copy_of_template(tmp_path_factory.mktemp("template") / "repository")
    commit(folder, "The template")
    run("git", "tag", f"v{VERSION}", cwd=folder)
    return folder
