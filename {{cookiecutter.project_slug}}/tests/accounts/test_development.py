"""Signing in while developing: anybody as anybody, and never among real users."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from app.accounts.development import SignInSettings

from ..auth.provider import SigningKey
from ..doors import open_door
from ..service import API_KEY, Service, Wire, environment, knock, running

SECRET = "a secret of 32 characters or more"


async def signed_in(http: httpx2.AsyncClient, **form: str) -> httpx2.Response:
    """The answer to a sign-in."""
    return await http.post("/auth/token", data={"password": "any", **form})


async def test_any_name_signs_in_with_any_password(
    service: Service, visitor: httpx2.AsyncClient
) -> None:
    for name in ("zoe", " Zoë 👋 ", "x" * 64, "auth0|1"):
        answer = await signed_in(visitor, username=name)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()
        assert (token["token_type"], token["expires_in"]) == ("bearer", 3600)
        shown = await open_door().show(service, token["access_token"])
        async with await knock(service, shown) as connection:
            wire = Wire(connection)
            if shown.message is not None:
                await wire.say(**shown.message)
            welcome = await wire.hear()
            assert welcome["user"] == {"id": name.strip(), "name": name.strip()}


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb", "a\0b", "a\u202eb", "\t"])
async def test_a_name_can_be_shown_to_others(visitor: httpx2.AsyncClient, name: str) -> None:
    assert (await signed_in(visitor, username=name)).status_code == 422


async def test_a_form_that_makes_no_sense_breaks_nothing(visitor: httpx2.AsyncClient) -> None:
    for body in (b"", b"username=ann", b"username=%ff&password=x", b"\xff\xfe", b"{}"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await visitor.post("/auth/token", content=body, headers=headers)
        assert response.status_code in (200, 400, 422)
    assert (await visitor.post("/auth/token", json={"username": "ann"})).status_code == 422


async def test_a_scope_that_is_asked_for_is_given(visitor: httpx2.AsyncClient) -> None:
    body = {"data": {"text": "x"}}
    for scope, status in (("publish admin", 201), ("", 403)):
        token = (await signed_in(visitor, username="ann", scope=scope)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        path = "/api/channels/chat:lobby/messages"
        assert (await visitor.post(path, json=body, headers=bearer)).status_code == status


async def test_nothing_of_it_is_logged(service: Service, visitor: httpx2.AsyncClient) -> None:
    answer = await signed_in(visitor, username="ann", password="canary-of-a-password")
    assert answer.json()["access_token"] not in service.log
    assert "canary-of-a-password" not in service.log
    assert API_KEY not in service.log


async def test_among_real_users_nobody_signs_in_here(production: Service) -> None:
    async with production.rest() as http:
        answer = await signed_in(http, username="ann")
    assert answer.status_code == 404
    assert "identity provider" in answer.text


@pytest.mark.parametrize("elsewhere", ["APP_JWT_PUBLIC_KEY", "APP_JWT_JWKS_URL"])
async def test_beside_an_identity_provider_nobody_signs_in_here(
    tmp_path: Path, elsewhere: str
) -> None:
    value = SigningKey().public if elsewhere == "APP_JWT_PUBLIC_KEY" else "http://127.0.0.1:9/"
    with running(tmp_path, **{elsewhere: value}) as service:
        async with service.rest() as http:
            answer = await signed_in(http, username="ann")
        assert answer.status_code == 404
        assert "identity provider" in answer.text
        assert not (tmp_path / ".development-secret").exists()


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({}, True),
        ({"APP_DEVELOPMENT_SIGN_IN": "false"}, False),
        ({"APP_DEVELOPMENT_SIGN_IN": "true"}, True),
        ({"APP_ENVIRONMENT": "production"}, False),
        ({"APP_JWT_PUBLIC_KEY": "any"}, False),
        ({"APP_JWT_JWKS_URL": "any"}, False),
        ({"APP_JWT_JWKS_URL": "any", "APP_DEVELOPMENT_SIGN_IN": "true"}, False),
    ],
)
def test_it_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], offered: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.upper().startswith("APP_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert SignInSettings().offered is offered


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"APP_ENVIRONMENT": "production", "APP_JWT_SECRET": SECRET},
            "APP_DEVELOPMENT_SIGN_IN lets anybody be anybody",
        ),
        (
            {"APP_JWT_JWKS_URL": "http://127.0.0.1:9/"},
            "APP_DEVELOPMENT_SIGN_IN needs a secret to sign with",
        ),
    ],
    ids=["among real users", "beside an identity provider"],
)
def test_where_it_must_not_be_it_cannot_be_turned_on(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=environment({"APP_DEVELOPMENT_SIGN_IN": "true", **settings}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
