"""The rules that a namespace can have."""

from app.auth.base import Principal
from app.auth.policy import Policy, everyone, owner, scope
from app.protocol.channels import personal_channel

ANN = Principal("ann")


def test_everyone_may() -> None:
    assert everyone(ANN, "chat:x")
    assert Policy().subscribe is everyone and Policy().publish is everyone


def test_only_the_owner_of_a_personal_channel_may() -> None:
    assert owner(ANN, "user:ann")
    assert not owner(ANN, "user:bob")
    assert not owner(ANN, "user:ann2")
    assert not owner(ANN, "chat:ann")
    odd = Principal("auth0|1")
    assert owner(odd, personal_channel("auth0|1"))
    assert not owner(odd, personal_channel("auth0|2"))


def test_whoever_has_the_scope_may() -> None:
    rule = scope("publish")
    assert rule(Principal("ann", scopes=frozenset({"publish", "x"})), "chat:x")
    assert not rule(Principal("ann", scopes=frozenset({"publisher", "pub"})), "chat:x")
    assert not rule(ANN, "chat:x")
