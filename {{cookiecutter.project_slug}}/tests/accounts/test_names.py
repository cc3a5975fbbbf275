"""What users may be called, and that a name is one name however it is typed."""

import pytest

from app.accounts.names import key_of, user_name
from app.protocol.errors import CommandError, ErrorCode


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("ann", "ann"),
        ("  Zoë 👋 ", "Zoë 👋"),
        ("Zoe\u0308", "Zoë"),
        ("x" * 64, "x" * 64),
        ("e\u0301" * 64, "é" * 64),
        ("auth0|1", "auth0|1"),
        ("servers", "servers"),
        ("Amber Otter 42", "Amber Otter 42"),
        ("\uff21\uff44\uff41", "Ada"),
        ("ada \u00a0  b", "ada b"),
    ],
)
def test_a_name_is_one_name_however_it_is_typed(typed: str, name: str) -> None:
    assert user_name(typed) == name


@pytest.mark.parametrize(
    "typed",
    [
        *("", "  ", "\t", "x" * 65, "a\nb", "a\0b", "a\u202eb", "a\ud800", "a\u200bb"),
        *("server", " server ", "Server", "SERVER", "\uff33erver", "\u017ferver"),
        *("ada\ufe0f", "ada\u034f", "ada\u115f", "\u3164", "\u2800", "\uffa0", "ada\u17b5"),
        *("ada\u180b", "ada\U000e0100", "\ufdfa" * 4),
    ],
    ids=ascii,
)
def test_a_name_can_be_read_by_others_and_is_nobody_elses(typed: str) -> None:
    with pytest.raises(CommandError) as refused:
        user_name(typed)
    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_MESSAGE, "username")


@pytest.mark.parametrize("typed", ["ada", "Ada", "ADA", "\uff21da"])
def test_a_name_is_one_name_in_whatever_case(typed: str) -> None:
    assert key_of(user_name(typed)) == "ada"


def test_what_looks_alike_in_another_script_is_another_name() -> None:
    """No font and no list decides what looks alike to whom."""
    assert key_of(user_name("\u0430d\u0430")) != "ada"
