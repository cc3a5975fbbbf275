"""Which settings give keys that verify tokens, and which ones the service refuses to start with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.auth.keys import OneKey, TokenSettings, open_keys
from app.auth.public_key import from_pem
from app.auth.secret import DEVELOPMENT_SECRET
from app.settings import Section, complaints

from ..service import environment
from .provider import SigningKey, ec_key, providing, rsa_key

SECRET = "a secret of 32 characters or more"
RSA = SigningKey(key=rsa_key()).public
EC = SigningKey().public
P384 = SigningKey(key=ec_key(ec.SECP384R1())).public
SMALL = SigningKey(key=rsa_key(1024)).public
OTHER = (
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
URL = "https://id.example/keys"
NAMED = {"ISSUER": "https://id.example/", "AUDIENCE": "chat"}
PRODUCTION = {"APP_ENVIRONMENT": "production"}


def found(bare: pytest.MonkeyPatch, **settings: str) -> list[str]:
    """What is complained about."""
    for name in [each for each in os.environ if each.startswith("APP_")]:
        bare.delenv(name)
    for name, value in settings.items():
        bare.setenv(name if name.startswith("APP_") else f"APP_JWT_{name}", value)
    return complaints()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"SECRET": SECRET},
        {"SECRET": SECRET, "ALGORITHM": "HS256"},
        {"PUBLIC_KEY": RSA},
        {"PUBLIC_KEY": RSA.replace("\n", "\\n"), "ALGORITHM": "RS256"},
        {"PUBLIC_KEY": EC, "ALGORITHM": "ES256"},
        {"PUBLIC_KEY": EC, "SECRET": SECRET},
        {"JWKS_URL": URL},
        {"JWKS_URL": "http://127.0.0.1:8080/keys", "ALGORITHM": "RS256"},
        {"JWKS_URL": ""},
        PRODUCTION | {"SECRET": SECRET},
        PRODUCTION | NAMED | {"PUBLIC_KEY": RSA},
        PRODUCTION | NAMED | {"JWKS_URL": URL, "ALGORITHM": "ES256"},
    ],
    ids=lambda settings: " ".join(settings) or "nothing",
)
def test_what_is_safe_and_makes_sense_is_taken(
    bare: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    assert [each for each in found(bare, **settings) if "APP_JWT" in each] == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (PRODUCTION, "APP_JWT_SECRET is missing"),
        ({"ALGORITHM": "none"}, "APP_JWT_ALGORITHM: "),
        ({"ALGORITHM": "HS512"}, "APP_JWT_ALGORITHM: "),
        ({"ALGORITHM": "RS256"}, "APP_JWT_ALGORITHM=RS256 needs a public key"),
        ({"ALGORITHM": "ES256", "SECRET": SECRET}, "APP_JWT_ALGORITHM=ES256 needs a public key"),
        ({"SECRET": RSA}, "APP_JWT_SECRET is a key"),
        ({"SECRET": "ssh-rsa " + "abcdefghij" * 4}, "APP_JWT_SECRET is a key"),
        ({"PUBLIC_KEY": RSA, "JWKS_URL": URL}, "both say where keys are"),
        ({"PUBLIC_KEY": RSA, "ALGORITHM": "HS256"}, "APP_JWT_ALGORITHM=HS256 is for a secret"),
        ({"JWKS_URL": URL, "ALGORITHM": "HS256"}, "APP_JWT_ALGORITHM=HS256 is for a secret"),
        ({"PUBLIC_KEY": "a secret"}, "APP_JWT_PUBLIC_KEY is no public key"),
        ({"PUBLIC_KEY": RSA.replace("MII", "XII")}, "APP_JWT_PUBLIC_KEY is no public key"),
        ({"PUBLIC_KEY": SigningKey().private}, "APP_JWT_PUBLIC_KEY is a private key"),
        ({"PUBLIC_KEY": SigningKey(key=rsa_key()).private}, "APP_JWT_PUBLIC_KEY is a private key"),
        ({"PUBLIC_KEY": SMALL}, "APP_JWT_PUBLIC_KEY is neither RSA of 2048 bits"),
        ({"PUBLIC_KEY": P384}, "APP_JWT_PUBLIC_KEY is neither"),
        ({"PUBLIC_KEY": OTHER}, "APP_JWT_PUBLIC_KEY is neither"),
        ({"PUBLIC_KEY": RSA, "ALGORITHM": "ES256"}, "but APP_JWT_PUBLIC_KEY is RS256"),
        ({"PUBLIC_KEY": EC, "ALGORITHM": "RS256"}, "but APP_JWT_PUBLIC_KEY is ES256"),
        ({"JWKS_URL": "id.example/keys"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "file:///etc/keys"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "ftp://id.example/keys"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "http://id.example:0/"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "https:///keys"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "https://id.example:99999/"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "https://[id.example/"}, "APP_JWT_JWKS_URL is no URL"),
        ({"JWKS_URL": "https://id.example/\n"}, "APP_JWT_JWKS_URL is no URL"),
        (PRODUCTION | NAMED | {"JWKS_URL": "http://id.example/"}, "APP_JWT_JWKS_URL is not https"),
        (PRODUCTION | {"JWKS_URL": URL}, "APP_JWT_ISSUER and APP_JWT_AUDIENCE"),
        (PRODUCTION | {"JWKS_URL": URL, "ISSUER": "x"}, "APP_JWT_ISSUER and APP_JWT_AUDIENCE"),
        (PRODUCTION | {"JWKS_URL": URL, "AUDIENCE": "x"}, "APP_JWT_ISSUER and APP_JWT_AUDIENCE"),
        (PRODUCTION | {"PUBLIC_KEY": EC}, "APP_JWT_ISSUER and APP_JWT_AUDIENCE"),
    ],
)
def test_what_is_unsafe_or_makes_no_sense_is_named(
    bare: pytest.MonkeyPatch, settings: dict[str, str], named: str
) -> None:
    (complaint,) = [each for each in found(bare, **settings) if "APP_JWT" in each]
    assert named in complaint
    for value in (settings.get("SECRET"), settings.get("PUBLIC_KEY")):
        assert not value or value not in complaint


def test_a_service_says_all_of_it_at_once_and_does_not_start(tmp_path: Path) -> None:
    settings = {
        "APP_ENVIRONMENT": "production",
        "APP_JWT_SECRET": "x" * 40,
        "APP_JWT_PUBLIC_KEY": P384,
        "APP_JWT_JWKS_URL": "http://id.example/",
        "APP_JWT_ALGORITHM": "HS256",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    for said in (
        "APP_JWT_SECRET repeats itself",
        "APP_JWT_PUBLIC_KEY is neither",
        "both say where keys are",
        "APP_JWT_JWKS_URL is not https",
        "APP_JWT_ALGORITHM=HS256 is for a secret",
        "APP_JWT_ISSUER and APP_JWT_AUDIENCE",
    ):
        assert done.stderr.count(said) == 1, said


async def test_keys_come_from_where_the_settings_say(bare: pytest.MonkeyPatch) -> None:
    async with open_keys(TokenSettings(jwt_public_key=EC)) as keys:
        assert isinstance(keys, OneKey)
        key = await keys.find("any")
        assert key is not None and key.algorithm == "ES256"
    with providing(SigningKey("ec"), SigningKey("rsa", rsa_key())) as provider:
        async with open_keys(TokenSettings(jwt_jwks_url=provider.url)) as keys:
            assert await keys.find("ec") and await keys.find("rsa")
        for algorithm, only in (("ES256", "ec"), ("RS256", "rsa")):
            settings = TokenSettings(jwt_jwks_url=provider.url, jwt_algorithm=algorithm)
            async with open_keys(settings) as keys:
                key = await keys.find(None)
                assert key is not None and key.kid == only
    assert not DEVELOPMENT_SECRET.exists(), "where others sign there is no secret"
    async with open_keys(TokenSettings(jwt_secret=SECRET)) as keys:
        key = await keys.find(None)
        assert key is not None and key.algorithm == "HS256"


def test_a_public_key_has_one_algorithm() -> None:
    assert from_pem(RSA).algorithm == "RS256"
    assert from_pem(EC).algorithm == "ES256"
    assert from_pem(f"\n {EC.strip()} \n".replace("\n ", "\n")).algorithm == "ES256"


def test_every_setting_is_in_the_example() -> None:
    """Each commented out, with its default: nothing."""
    lines = (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    for name in set(TokenSettings.model_fields) - set(Section.model_fields):
        assert f"#APP_{name}=".upper() in lines
