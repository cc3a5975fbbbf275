"""The same answers, brought again, give the same project."""

import json
from pathlib import Path

from .baking import run, tree
from .options import QUESTIONS, ROOT

ANSWERS = ["project_name=O'Brien & Söhne", "project_slug=chat", "auth=none", "license=BSD-3-Clause"]


def make(*arguments: str | Path, home: Path) -> dict[str, bytes]:
    """What a run of cookiecutter makes."""
    output = home / f"output-{len(list(home.glob('output-*')))}"
    run("cookiecutter", ROOT, "--output-dir", output, *arguments, cwd=home, HOME=str(home))
    return tree(output / "chat")


def test_replay_repeats_the_last_run(tmp_path: Path) -> None:
    first = make("--no-input", *ANSWERS, home=tmp_path)
    assert make("--replay", home=tmp_path) == first


def test_a_projects_own_record_can_be_replayed(tmp_path: Path) -> None:
    first = make("--no-input", *ANSWERS, home=tmp_path)
    record = tmp_path / "record.json"
    record.write_bytes(first[".cookiecutter.json"])
    assert list(json.loads(record.read_text())["cookiecutter"]) == list(QUESTIONS)
    assert make("--replay-file", record, home=tmp_path) == first


def test_the_record_names_no_place_on_this_machine(tmp_path: Path) -> None:
    record = make("--no-input", *ANSWERS, home=tmp_path)[".cookiecutter.json"].decode()
    assert str(ROOT) not in record
    assert str(tmp_path) not in record
    assert set(json.loads(record)) == {"template", "version", "cookiecutter"}
