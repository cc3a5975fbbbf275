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


def combinations() -> Iterator[dict[str, str]]:
    """Every combination that makes a different service; the license, which does not, goes round."""
    licenses = cycle(LICENSES)
    prompts = [key for key in CHOICES if key != "license"]
    for values in product(*(CHOICES[key] for key in prompts)):
        answers = dict(zip(prompts, values, strict=True))
        if local_extensions.refuse_combination(answers) is None:
            yield answers | {"license": next(licenses)}


def title(answers: dict[str, str]) -> str:
    """The name of a combination in test reports: answers that could have been different."""
    return "-".join(value for key, value in answers.items() if len(CHOICES[key]) > 1)
