"""Redis behind TLS: who holds the certificate is spoken to, who holds another is not."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection, socket
from time import monotonic, sleep

import pytest

from ..nodes import nodes
from ..service import PATIENCE, running
from .chat import carry_a_chat

REMEDY = "put redis-server 7 or newer with TLS on the PATH: apt install redis-server"
ADDRESS = "127.0.0.1"
EXTENSIONS = (
    f"subjectAltName=IP:{ADDRESS}",
    "keyUsage=critical,digitalSignature,keyCertSign",
)


def certificate(folder: Path) -> Path:
    """A certificate that vouches for itself, beside its key."""
    folder.mkdir()
    made = folder / "certificate.pem"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(made)]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    extensions = [word for each in EXTENSIONS for word in ("-addext", each)]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, "-subj", "/CN=tests", *extensions, *files],
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """The certificate of the server."""
    if shutil.which("openssl") is None:
        pytest.skip("put openssl on the PATH: apt install openssl")
    return certificate(tmp_path / "trusted")


@pytest.fixture
def url(tmp_path: Path, trusted: Path) -> Iterator[str]:
    """A server that speaks nothing but TLS."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip(REMEDY)
    with socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    where = ["--bind", ADDRESS, "--port", "0", "--tls-port", str(port), "--dir", str(tmp_path)]
    shown = ["--tls-cert-file", str(trusted), "--tls-key-file", str(trusted.with_name("key.pem"))]
    checked = ["--tls-ca-cert-file", str(trusted), "--tls-auth-clients", "no", "--save", ""]
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen([program, *where, *shown, *checked], stdout=log, stderr=log)
    try:
        wait(port, process, tmp_path / "redis.log")
        yield f"rediss://{ADDRESS}:{port}/0"
    finally:
        process.kill()
        process.wait()


def wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it listens; some are made without TLS, and say so."""
    end = monotonic() + PATIENCE
    while True:
        if process.poll() is not None and "tls-" in log.read_text():
            pytest.skip(REMEDY)
        assert process.poll() is None and monotonic() < end, log.read_text()
        try:
            with create_connection((ADDRESS, port)):
                return
        except OSError:
            sleep(0.02)


async def test_it_carries_a_chat(tmp_path: Path, url: str, trusted: Path, channel: str) -> None:
    address = f"{url}?ssl_ca_certs={trusted}"
    with nodes(tmp_path, APP_PRESENCE_GRACE_SECONDS="0.2", APP_REDIS_URL=address) as (one, other):
        await carry_a_chat(one, other, channel)


@pytest.mark.parametrize("known", ["another", "none"])
async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(
    tmp_path: Path, url: str, known: str
) -> None:
    """The service says why, and is degraded."""
    other = certificate(tmp_path / "other") if known == "another" else None
    address = f"{url}?ssl_ca_certs={other}" if other else url
    (tmp_path / "service").mkdir()
    with running(tmp_path / "service", APP_REDIS_URL=address) as service:
        async with service.rest() as http, asyncio.timeout(PATIENCE):
            while (answer := await http.get("/readyz")).json()["status"] == "ready":
                await asyncio.sleep(0.01)
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert "certificate verify failed" in service.log
        assert "Traceback" not in service.log
