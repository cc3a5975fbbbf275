"""The template as it stands: read by tools as it is, rendered only where a list says so."""

import ast
import json
import re
import tomllib
from pathlib import Path, PurePosixPath

import pytest
import yaml
from cookiecutter.generate import is_copy_only_path

from .baking import copy_of_template, tree
from .conftest import Bake
from .options import CONTEXT, ROOT

FOLDER = "{{cookiecutter.project_slug}}"

METADATA = {
    ".editorconfig",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "licenses/Apache-2.0",
    "licenses/BSD-3-Clause",
    "licenses/MIT",
    "licenses/Proprietary",
    "pyproject.toml",
}
"""What is rendered, beside `adapters.py`; everything else is copied byte for byte."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is in the folder that becomes a project."""
    return tree(copy_of_template(tmp_path_factory.mktemp("copy")) / FOLDER)


def test_what_is_rendered_is_in_the_list(files: dict[str, bytes]) -> None:
    rendered = {name for name in files if not is_copy_only_path(name, {"cookiecutter": CONTEXT})}
    assert rendered == METADATA | {"src/app/adapters.py"}


def test_no_folder_is_copied_whole(files: dict[str, bytes]) -> None:
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    context = {"cookiecutter": CONTEXT}
    assert not [folder for folder in folders - {"."} if is_copy_only_path(folder, context)]


def test_what_is_copied_arrives_unchanged(files: dict[str, bytes], bake: Bake) -> None:
    project = bake()
    copied = (project.files.keys() & files.keys()) - METADATA - {"src/app/adapters.py"}
    assert len(copied) > 50
    assert [name for name in copied if project.files[name] != files[name]] == []


def test_one_module_holds_jinja(files: dict[str, bytes]) -> None:
    marks = re.compile(rb"\{\{-?\s*cookiecutter|# \{%|\|\s*escaped")
    holding = [name for name, data in files.items() if name.endswith(".py") and marks.search(data)]
    assert holding == ["src/app/adapters.py"]
    assert b"{%" not in files["src/app/adapters.py"], "expressions, no blocks"


def test_metadata_parses_as_it_stands(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        match PurePosixPath(name).suffix:
            case ".toml":
                tomllib.loads(data.decode())
            case ".yaml" | ".yml":
                yaml.safe_load(data)
            case ".json":
                json.loads(data)
            case ".py" if name != "src/app/adapters.py":
                ast.parse(data)
    for hook in (ROOT / "hooks").iterdir():
        if hook.suffix == ".py":
            ast.parse(hook.read_text(encoding="utf-8"))


def test_what_tools_leave_in_the_template_does_no_harm(tmp_path: Path, bake: Bake) -> None:
    template = copy_of_template(tmp_path / "template")
    for cache in (".ruff_cache/0.17", "src/app/__pycache__", ".mypy_cache", ".hypothesis/x"):
        folder = template / FOLDER / cache
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"\xff{{ no jinja {% at all")
    assert bake(template).files == bake().files


def test_names_are_possible_on_every_system(files: dict[str, bytes]) -> None:
    for name in files:
        assert not set('<>:"|?*\\') & set(name), name
        assert not re.search(r"[. ](/|$)", name), name
    assert len({name.lower() for name in files}) == len(files)


def test_hooks_need_nothing_but_python() -> None:
    """No process, no network, no clock and no chance: cruft runs them twice and compares."""
    harmless = {"ast", "collections", "importlib", "json", "os", "pathlib", "shutil", "sys"}
    for hook in Path(ROOT / "hooks").glob("*.py"):
        for node in ast.walk(ast.parse(hook.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= harmless
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).partition(".")[0] in harmless
