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


def combinations() -> Iterator[dict[str, str]]:
    """Every combination that makes a different service; the license, which does not, goes round."""
    licenses = cycle(LICENSES)
    for values in product(*(CHOICES[key] for key in PROMPTS)):
        answers = dict(zip(PROMPTS, values, strict=True))
        if local_extensions.refuse_combination(answers) is None:
            yield answers | {"license": next(licenses)}


def samples() -> list[dict[str, str]]:
    """Combinations whose services are run: every answer with as many defaults as it can have.

    The first is the default of all prompts; the last answers of all prompts are tried together.
    """
    every = list(combinations())

    def unusual(answers: dict[str, str]) -> int:
        return sum(answers[key] != CHOICES[key][0] for key in PROMPTS)

    chosen = [
        min((answers for answers in every if answers[key] == choice), key=unusual)
        for key in PROMPTS
        for choice in CHOICES[key]
    ]
    return [answers for answers in every if answers in (*chosen, every[-1])]


def title(answers: dict[str, str]) -> str:
    """The name of a combination in test reports: answers that could have been different."""
    return "-".join(value for key, value in answers.items() if len(CHOICES[key]) > 1)
