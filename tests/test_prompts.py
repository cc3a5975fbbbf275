"""What people are asked, and what pressing Enter all the way gives."""

from pathlib import Path

import pytest

from .baking import run
from .options import CHOICES, CONTEXT, QUESTIONS, ROOT

PROMPTS = CONTEXT["__prompts__"]
LABELS = [
    label
    for prompt in PROMPTS.values()
    for label in ([prompt] if isinstance(prompt, str) else prompt.values())
]


def test_prompts_come_in_the_order_of_the_documentation() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8")
    places = [table.index(f"| `{key}` |") for key in QUESTIONS]
    assert places == sorted(places)


@pytest.mark.parametrize("key", QUESTIONS)
def test_every_prompt_and_every_answer_has_help(key: str) -> None:
    expected = {"__prompt__", *CHOICES[key]} if key in CHOICES else None
    assert (set(PROMPTS[key]) if expected else None) == expected
    assert PROMPTS[key]


@pytest.mark.parametrize("label", LABELS)
def test_labels_fit_a_terminal_and_survive_its_markup(label: str) -> None:
    assert len(label) <= 70
    assert not set("[]") & set(label), "Rich takes square brackets for markup"


def test_nothing_reads_a_computed_variable() -> None:
    computed = [key for key in CONTEXT if key.startswith("__") and key != "__prompts__"]
    assert all(key.startswith("__check_") for key in computed)
    for path in (ROOT / "{{cookiecutter.project_slug}}").rglob("*"):
        if path.is_file() and not any(part.endswith("cache") for part in path.parts):
            assert b"cookiecutter.__" not in path.read_bytes(), path


def test_enter_all_the_way_gives_the_default_project(tmp_path: Path) -> None:
    done = run(
        *("cookiecutter", ROOT, "--output-dir", tmp_path),
        cwd=tmp_path,
        text="\n" * len(QUESTIONS),
        HOME=str(tmp_path),
    )
    for label in LABELS:
        assert label in done.stdout
    assert "cd my-realtime-service" in done.stdout
    assert (tmp_path / "my-realtime-service" / "pyproject.toml").is_file()
