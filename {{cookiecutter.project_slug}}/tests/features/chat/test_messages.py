"""What may be said in a room."""

import json

import pytest

from app.features.chat import feature
from app.protocol.errors import CommandError

SAYING = feature.namespace


@pytest.mark.parametrize("text", ["x", "x" * 4000, "👩‍👩‍👧", " ", "<b>&amp;</b>", "\n\t\r"])
def test_a_message_is_text(text: str) -> None:
    assert json.loads(SAYING.encode(SAYING.check({"text": text}))) == {"text": text}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"text": ""}, "data.text"),
        ({"text": "x" * 4001}, "data.text"),
        ({"text": None}, "data.text"),
        ({"text": ["x"]}, "data.text"),
        ({"text": "x", "html": "<b>"}, "data.html"),
        ({}, "data.text"),
        ([], "data"),
        ("x", "data"),
        (None, "data"),
    ],
)
def test_and_nothing_else(data: object, field: str) -> None:
    with pytest.raises(CommandError) as refused:
        SAYING.check(data)
    assert (refused.value.code, refused.value.field) == ("invalid_message", field)


def test_what_is_said_is_kept_in_rooms_that_somebody_created() -> None:
    assert SAYING.durable and SAYING.presence and SAYING.listed
