"""What `cookiecutter.json` offers: its answers, and the combinations that are not refused."""

import json
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path

import local_extensions

ROOT = Path(__file__).parent.parent
CONTEXT = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS: dict[str, str | list[str]] = {
    key: value for key, value in CONTEXT.items() if not key.startswith("_")
}
CHOICES = {key: value for key, value in QUESTIONS.items() if isinstance(value, list)}
LICENSES = CHOICES["license"]
PROMPTS = [key for key in CHOICES if key != "license"]
PAIRED = ("broker", "persistence")
"""Prompts whose answers carry and keep messages together: each is tried with each."""


def combinations() -> Iterator[dict[str, str]]:
    """Every combination that makes a different service; the license, which does not, goes round."""
    licenses = cycle(LICENSES)
    for values in product(*(CHOICES[key] for key in PROMPTS)):
        answers = dict(zip(PROMPTS, values, strict=True))
        if local_extensions.refuse_combination(answers) is None:
            yield answers | {"license": next(licenses)}


def samples() -> list[dict[str, str]]:
    """Combinations whose services are run: every answer, and every pair of broker and persistence.

    The first is the default of all prompts; then comes, again and again, what brings the most that
    none before has, of equals the last: so the last answers of all prompts are tried together.
    """
    every = list(combinations())
    chosen, tried = every[:1], _brings(every[0])
    while missing := set().union(*map(_brings, every)) - tried:
        best = max(reversed(every), key=lambda answers: len(_brings(answers) & missing))
        chosen.append(best)
        tried |= _brings(best)
    return chosen


def _brings(answers: dict[str, str]) -> set[tuple[str, ...]]:
    """What is tried by trying a combination."""
    return {*((key, answers[key]) for key in PROMPTS), tuple(answers[key] for key in PAIRED)}


def title(answers: dict[str, str]) -> str:
    """The name of a combination in test reports: answers that could have been different."""
    return "-".join(value for key, value in answers.items() if len(CHOICES[key]) > 1)
