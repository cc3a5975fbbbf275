"""The projects' own commands: what a user types first passes untouched. This takes minutes."""

import re
import tomllib

import pytest

from local_extensions import TAKEN

from .baking import Project, tree
from .conftest import Bake
from .options import combinations, title


@pytest.fixture(scope="module", params=list(combinations()), ids=title)
def project(request: pytest.FixtureRequest, bake: Bake) -> Project:
    """A project after `make setup`."""
    project = bake(**request.param)
    project.run("make", "setup")
    return project


def test_it_may_be_called_like_none_of_its_packages(project: Project) -> None:
    lock = tomllib.loads((project.path / "uv.lock").read_text(encoding="utf-8"))
    names = {package["name"] for package in lock["package"]} - {project.path.name}
    assert names - TAKEN == set(), "add these to PACKAGES in local_extensions.py"


def test_make_alone_lists_the_targets(project: Project) -> None:
    listed = set(re.findall(r"^make (\w+)", project.run("make").stdout, re.MULTILINE))
    assert listed == {"help", "setup", "run", "test", "check", "format", "update"}


@pytest.mark.timeout(600)
def test_make_check_passes(project: Project) -> None:
    project.run("make", "check")


@pytest.mark.timeout(900)
def test_make_test_passes(project: Project) -> None:
    print(project.run("make", "test").stdout.strip().splitlines()[-1])


def test_make_format_changes_nothing(project: Project) -> None:
    project.run("make", "format")
    now = tree(project.path)
    assert {name: now.get(name) for name in project.files} == project.files


def test_without_uv_it_says_where_to_get_it(project: Project) -> None:
    done = project.run("make", "-k", "setup", "UV=", fails=True)
    assert "This needs uv" in done.stderr
