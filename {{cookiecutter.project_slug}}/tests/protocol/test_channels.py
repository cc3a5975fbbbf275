"""The names of channels that belong to one user each."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.channels import NAME, NAMESPACE, personal_channel

USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)


@pytest.mark.parametrize("user", ["ann", "a.b_c-d", "0", "x" * 128])
def test_an_id_that_is_a_channel_name_stays_readable(user: str) -> None:
    assert personal_channel(user) == f"user:{user}"


@given(USERS)
def test_every_user_has_a_channel_with_a_valid_name(user: str) -> None:
    channel = personal_channel(user)
    assert re.fullmatch(f"{NAMESPACE}:{NAME}", channel)
    assert channel.startswith("user:")


@given(USERS, USERS)
def test_two_users_never_share_a_channel(one: str, other: str) -> None:
    assert (personal_channel(one) == personal_channel(other)) is (one == other)


@pytest.mark.parametrize("user", ["auth0|1", "ann@example.com", "ü", ".hidden", "x" * 129, "a\n"])
def test_an_id_that_could_be_taken_for_an_encoded_one_is_encoded_itself(user: str) -> None:
    channel = personal_channel(user)
    own_name = channel.partition(":")[2]
    assert own_name.startswith(".")
    assert personal_channel(own_name) != channel
