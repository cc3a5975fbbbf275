"""Made-up adapters, added to a copy of the template as CONTRIBUTING.md says, leave no trace."""

import json
import re
from itertools import product
from pathlib import Path

import pytest

from . import checks
from .baking import copy_of_template
from .conftest import Bake
from .options import CHOICES

ROLES = {"auth": "fakeauth", "broker": "fakebus", "persistence": "fakestore"}
"""An answer for each prompt that names modules; each depends on a package of its own."""

MODULES = {
    # what stands in for it: the module it is a copy of
    "src/app/auth/fakeauth.py": "src/app/auth/none.py",
    "src/app/broker/fakebus.py": "src/app/broker/memory.py",
    "src/app/coordination/fakebus.py": "src/app/coordination/memory.py",
    "src/app/history/fakebus.py": "src/app/history/memory.py",
    "src/app/history/fakestore.py": "src/app/history/memory.py",
    "src/app/presence/fakebus.py": "src/app/presence/memory.py",
    "src/client/auth/fakeauth.py": "src/client/auth/none.py",
}

HELPERS = {
    # what only one of them leads to
    "src/app/fakebus.py": "src/app/broker/fakebus.py",
    "src/app/fakestore/__init__.py": "src/app/history/fakestore.py",
}

BESIDE = {
    # what no import leads to
    "src/app/fakestore/tables.txt": "kept where its package is",
    "src/app/http/demo/auth/fakeauth.js": "kept by its name",
    "tests/brokers/fakebus.py": '"""Kept by its name."""\n',
    "tests/doors/fakeauth.py": '"""Kept by its name."""\n',
    "tests/fakestore/test_tables.py": '"""Kept where its subject is."""\n',
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a second adapter for each role."""
    template = copy_of_template(tmp_path_factory.mktemp("extended") / "template")
    context = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    for prompt, answer in ROLES.items():
        context[prompt].append(answer)
    (template / "cookiecutter.json").write_text(json.dumps(context), encoding="utf-8")

    project = template / "{{cookiecutter.project_slug}}"
    for name, model in MODULES.items():
        source = (project / model).read_text(encoding="utf-8")
        add(project / name, f"{source}\n\nimport {Path(name).stem}_driver\n")
        folder, stem = re.sub("^src/(app/)?", "tests/", name).rsplit("/", 1)
        add(project / folder / f"test_{stem}", f'"""Tests of {stem}."""\n')
    for name, user in HELPERS.items():
        add(project / name, '"""A helper."""\n')
        adapter = project / user
        word = Path(user).stem
        add(adapter, f"{adapter.read_text(encoding='utf-8')}\nfrom .. import {word}\n")
    for name, text in BESIDE.items():
        add(project / name, text)

    metadata = (project / "pyproject.toml").read_text(encoding="utf-8")
    for prompt, answer in ROLES.items():
        tag = f'    # {{% if cookiecutter.{prompt} == "{answer}" %}}'
        stanza = f'{tag}\n    "{answer}-driver>=1",\n    # {{% endif %}}\n'
        metadata = metadata.replace('    "starlette', f'{stanza}    "starlette')
    add(project / "pyproject.toml", metadata)
    return template


def add(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("auth", CHOICES["auth"])
def test_the_first_answers_give_the_same_project_as_before(
    auth: str, extended: Path, bake: Bake
) -> None:
    before, after = bake(auth=auth).files, bake(extended, auth=auth).files
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.parametrize(
    "answers", list(product(*([CHOICES[p][0], CHOICES[p][-1], a] for p, a in ROLES.items())))
)
def test_each_answer_brings_what_is_its_own(
    answers: tuple[str, ...], extended: Path, bake: Bake
) -> None:
    chosen = dict(zip(ROLES, answers, strict=True))
    project = bake(extended, **chosen)
    everything = "\n".join([*project.files, *(text for _, text in checks.texts(project))])
    for prompt, answer in ROLES.items():
        assert (answer in everything) is (chosen[prompt] == answer)
    assert (
        checks.words(project, chosen | {p: CHOICES[p][0] for p in CHOICES if p not in ROLES}) == []
    )
    for role in ("broker", "coordination", "history", "presence"):
        assert f"src/app/{role}/memory.py" in project.files, "the reference of contract tests"


def test_a_chosen_adapter_comes_whole(extended: Path, bake: Bake) -> None:
    bus = bake(extended, auth="fakeauth", broker="fakebus", persistence="none")
    store = bake(extended, auth="none", broker="memory", persistence="fakestore")
    expected = {name: name.rsplit("/", 1)[1].partition(".")[0] for name in MODULES}
    for name, answer in expected.items():
        folder, stem = re.sub("^src/(app/)?", "tests/", name).rsplit("/", 1)
        for path in (name, f"{folder}/test_{stem}"):
            assert (path in bus.files) is (answer in ("fakeauth", "fakebus")), path
            assert (path in store.files) is (answer == "fakestore"), path
    for folder, suffix in {"src/app/http/demo/auth": "js", "tests/doors": "py"}.items():
        assert f"{folder}/fakeauth.{suffix}" in bus.files
        assert f"{folder}/first_message.{suffix}" not in bus.files
    for answer, project in {"fakebus": bus, "memory": store}.items():
        found = {name for name in project.files if name.startswith("tests/brokers/")}
        assert found == {"tests/brokers/__init__.py", f"tests/brokers/{answer}.py"}
    assert "src/app/fakebus.py" in bus.files
    assert {"src/app/fakestore/tables.txt", "tests/fakestore/test_tables.py"} <= store.files.keys()
    for project, driver in ((bus, "fakebus"), (store, "fakestore")):
        assert f"{driver}-driver" in checks.imported(project, "src")
        assert f'"{driver}-driver>=1"' in project.text("pyproject.toml")
