"""An identity provider in small: keys, the tokens that it signs, and where it publishes them."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jose import jwk, jws

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """One of several keys of a size, made once, since that takes long."""
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A new key."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def encoded(value: object) -> str:
    """One part of a token: bytes and text as they are, anything else as JSON."""
    text = value if isinstance(value, str | bytes) else json.dumps(value)
    whole = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def forged(header: object, payload: object, secret: bytes) -> str:
    """A token of any parts whatever, signed by HMAC; no library has a say in it."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def claims(**changed: Any) -> dict[str, Any]:
    """What a token of now says; a claim that is ... is left out."""
    now = int(time.time())
    said = {"sub": "ann", "iat": now, "exp": now + 600, **changed}
    return {name: each for name, each in said.items() if each is not ...}


class SigningKey:
    """A private key that has a name."""

    def __init__(self, kid: str | None = None, key: PrivateKey | None = None) -> None:
        self.kid = kid
        self.key = key or ec_key()
        self.algorithm = "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"

    @cached_property
    def private(self) -> str:
        """In PEM form, for who signs."""
        form = PrivateFormat.PKCS8
        return self.key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    @property
    def public(self) -> str:
        """In PEM form, for who verifies."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(Encoding.PEM, form).decode()

    def published(self, **changed: Any) -> dict[str, Any]:
        """As an entry of a key set; what is ... is left out."""
        entry = jwk.construct(self.public, self.algorithm).to_dict()
        whole = {**entry, "use": "sig", "kid": self.kid or ..., **changed}
        return {name: each for name, each in whole.items() if each is not ...}

    def token(self, *, headers: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token that this key signs."""
        named = {"kid": self.kid} if self.kid else {}
        header = {**named, **(headers or {})}
        return jws.sign(claims(**changed), self.private, header, self.algorithm)


class Provider:
    """Publishes keys over HTTP, counts who asks for them, and can answer anything else."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.seconds_between_bytes = 0.0
        self.fetches = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/keys"

    @property
    def answer(self) -> bytes:
        """What is said to who asks."""
        if self.body is not None:
            return self.body
        return json.dumps({"keys": [each.published() for each in self.keys]}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                self.send_response(provider.status)
                for name, value in provider.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    self._write(provider.answer)

            def _write(self, answer: bytes) -> None:
                if not provider.seconds_between_bytes:
                    self.wfile.write(answer)
                    return
                for byte in answer:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(provider.seconds_between_bytes)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    @contextmanager
    def open(self) -> Iterator["Provider"]:
        """Answer until the end."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@contextmanager
def providing(*keys: SigningKey) -> Iterator[Provider]:
    """A provider that answers."""
    with Provider(*keys).open() as provider:
        yield provider
