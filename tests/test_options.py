"""Which combinations of answers are tried, with prompts made up for it."""

from collections.abc import Mapping
from typing import Any

import pytest

import local_extensions
from local_extensions import Refusal

from . import options

CHOICES = {
    "auth": ["first", "second", "last"],
    "history": ["file", "server", "nowhere"],
    "deployment": ["local", "cloud"],
}


@pytest.fixture(autouse=True)
def prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "CHOICES", CHOICES)
    monkeypatch.setattr(options, "PROMPTS", list(CHOICES))


def sampled() -> list[str]:
    return [" ".join(answers[key] for key in CHOICES) for answers in options.samples()]


def test_each_answer_is_tried_with_defaults_and_the_last_together() -> None:
    assert sampled() == [
        "first file local",
        "first file cloud",
        "first server local",
        "first nowhere local",
        "second file local",
        "last file local",
        "last nowhere cloud",
    ]


def test_an_answer_that_some_defaults_exclude_is_tried_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(answers: Mapping[str, Any]) -> Refusal | None:
        excluded = answers["deployment"] == "cloud" and answers["history"] != "server"
        return Refusal("A cloud has no files", {}) if excluded else None

    monkeypatch.setattr(local_extensions, "refuse_combination", refuse)
    assert sampled() == [
        "first file local",
        "first server local",
        "first server cloud",
        "first nowhere local",
        "second file local",
        "last file local",
        "last nowhere local",
    ]
