"""Answers that cannot be used end in one sentence; unusual ones that can be used render."""

import ast
import json
import shlex
import tomllib
from pathlib import Path

import pytest

from local_extensions import TAKEN, VERSION

from .baking import Project, run, tree
from .conftest import Bake
from .options import CONTEXT, ROOT

REFUSED = [
    ("project_name", ""),
    ("project_name", "   "),
    ("project_name", "!!!"),
    ("project_name", 'The "best" chat'),
    ("project_name", "back\\slash"),
    ("project_name", "two\nlines"),
    ("project_name", "bell\x07"),
    ("project_name", "x" * 46),
    ("project_name", "1abc"),
    ("project_name", "Redis"),
    ("project_slug", ""),
    ("project_slug", "1abc"),
    ("project_slug", "my service"),
    ("project_slug", "My-Service"),
    ("project_slug", "my--service"),
    ("project_slug", "-service"),
    ("project_slug", "service-"),
    ("project_slug", "../service"),
    ("project_slug", "chät"),
    ("project_slug", "чат"),
    ("project_slug", "class"),
    ("project_slug", "app"),
    ("project_slug", "client"),
    ("project_slug", "redis"),
    ("project_slug", "fastapi"),
    ("project_slug", "pydantic_core"),
    ("project_slug", "x" * 46),
    ("description", ""),
    ("description", "two\nlines"),
    ("author", ""),
    ("author", "nul\x1f"),
]


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_a_refusal_says_what_to_type_and_leaves_nothing(
    key: str, value: str, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    command = ["cookiecutter", ROOT, "--no-input", "--output-dir", output]
    done = run(*command, f"{key}={value}", cwd=tmp_path, fails=True, HOME=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    sentence, _, corrected = done.stderr.strip().partition("\n\n")
    assert ": type, for example, " in sentence
    assert "\n" not in sentence
    assert not output.exists()

    run(*shlex.split(corrected), cwd=tmp_path, HOME=str(tmp_path))
    assert len(list(output.iterdir())) == 1


@pytest.mark.parametrize(("key", "value"), [("project_name", "1abc"), ("project_slug", "redis")])
def test_a_refusal_is_the_same_under_cruft(
    key: str, value: str, template: Path, tmp_path: Path
) -> None:
    answers = json.dumps({key: value})
    command = ["cruft", "create", template, "--no-input", "--extra-context", answers]
    done = run(*command, cwd=tmp_path, fails=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ": type, for example, " in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value"), [("project_slug", "my service"), ("auth", "carrier_pigeon")]
)
def test_the_hook_refuses_what_a_replay_brings(key: str, value: str, tmp_path: Path) -> None:
    answers = {k: v[0] if isinstance(v, list) else v for k, v in CONTEXT.items() if k[0] != "_"}
    answers |= {"project_slug": "chat", "author": "Ada", key: value}
    replay = tmp_path / "replay.json"
    replay.write_text(json.dumps({"cookiecutter": answers}), encoding="utf-8")
    output = tmp_path / "output"
    command = ["cookiecutter", ROOT, "--replay-file", replay, "--output-dir", output]
    done = run(*command, cwd=tmp_path, fails=True, HOME=str(tmp_path))
    assert ": type, for example, " in done.stderr
    assert not output.exists() or not list(output.iterdir())


def test_a_folder_in_use_is_refused_and_kept(fresh: Bake, tmp_path: Path) -> None:
    project = fresh()
    (project.path / "src/app/broker/mine.py").write_text("mine = True\n")
    before = tree(project.path)
    command = ["cookiecutter", ROOT, "--no-input", "--overwrite-if-exists"]
    done = run(*command, "--output-dir", tmp_path, cwd=tmp_path, fails=True, HOME=str(tmp_path))
    assert "is not empty" in done.stderr
    assert tree(project.path) == before


ODD = [
    {"description": """It's "quoted", C:\\new\\t, {x}, {% y %}, {# z #} & <b>'Söhne'</b> – чат"""},
    {"description": "\\"},
    {"author": """Jürgen "Jo" O'Brien & Söhne \\ {Ltd}, 株式会社"""},
    {"project_name": "O'Brien & Söhne's {чат}", "project_slug": "chat"},
    {"project_name": "株式会社" * 11, "project_slug": "chat"},
    {"project_name": "C++ {%x%} 100 % <live>"},
    {"project_slug": "a" * 45},
    {"project_slug": "my_own_service2"},
]


@pytest.mark.parametrize("answers", ODD, ids=lambda answers: "-".join(answers))
def test_odd_answers_render(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    told = json.loads(project.text(".cookiecutter.json"))["cookiecutter"]
    assert told == told | answers
    metadata = tomllib.loads(project.text("pyproject.toml"))["project"]
    assert metadata["name"] == told["project_slug"] == project.path.name
    assert metadata["description"] == told["description"]
    assert metadata["authors"] == [{"name": told["author"]}]
    assert title(project) == told["project_name"]
    assert told["project_name"] in project.text("src/app/adapters.py"), "readable, not escaped"
    assert told["author"] in project.text("LICENSE")
    assert told["project_name"] in project.text("README.md")
    assert told["description"] in project.text("README.md")
    project.run("ruff", "check", "--no-cache", "src/app/adapters.py")
    project.run("ruff", "format", "--no-cache", "--check", "src/app/adapters.py")


def title(project: Project) -> str:
    for node in ast.parse(project.text("src/app/adapters.py")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TITLE":
            return str(ast.literal_eval(node.value))
    return ""


def test_names_of_packages_are_in_one_spelling() -> None:
    assert all(name == name.lower().replace("_", "-") for name in TAKEN)


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
