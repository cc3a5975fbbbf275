"""Which combinations of answers are tried, with prompts made up for it."""

from collections.abc import Mapping
from typing import Any

import pytest

import local_extensions
from local_extensions import Refusal

from . import options

CHOICES = {
    "auth": ["first", "second", "third", "fourth", "last"],
    "broker": ["here", "everywhere"],
    "persistence": ["file", "server", "nowhere"],
    "deployment": ["local", "cloud"],
}


@pytest.fixture(autouse=True)
def prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "CHOICES", CHOICES)
    monkeypatch.setattr(options, "PROMPTS", list(CHOICES))


def sampled() -> list[str]:
    return [" ".join(answers[key] for key in CHOICES) for answers in options.samples()]


def test_each_answer_is_tried_and_each_broker_with_each_persistence_first_the_defaults() -> None:
    assert sampled() == [
        "first here file local",
        "last everywhere nowhere cloud",
        "fourth everywhere server cloud",
        "third everywhere file cloud",
        "second here nowhere cloud",
        "last here server cloud",
    ]


def test_what_is_refused_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(answers: Mapping[str, Any]) -> Refusal | None:
        excluded = answers["deployment"] == "cloud" and answers["persistence"] != "server"
        return Refusal("A cloud has no files", {}) if excluded else None

    monkeypatch.setattr(local_extensions, "refuse_combination", refuse)
    assert sampled() == [
        "first here file local",
        "last everywhere server cloud",
        "fourth everywhere nowhere local",
        "third everywhere file local",
        "second here nowhere local",
        "last here server cloud",
    ]
