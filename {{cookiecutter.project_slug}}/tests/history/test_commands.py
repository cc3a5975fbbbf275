"""What an administrator types, and reads."""

import asyncio
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import app
from app.database.migration import head

from ..conftest import Connect
from ..database.commands import command
from ..databases import nowhere, own_database
from ..service import running


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """The settings for a database without tables."""
    return own_database(tmp_path, migrated=False)


def test_a_database_is_brought_up_to_date_and_back(tmp_path: Path, empty: dict[str, str]) -> None:
    steps = [
        ("migrate",),
        ("migrate",),
        ("migrate", "--down", "--to", "base"),
        ("migrate", "--to", "0001"),
    ]
    done = [command(tmp_path, empty, *words) for words in steps]
    assert [each.returncode for each in done] == [0, 0, 0, 0], done
    at = [each.stdout.split(";")[0] for each in done]
    newest = at[0].removeprefix("The database is at revision ")
    assert at == [f"The database is at revision {each}" for each in (newest, newest, None, "0001")]


def test_two_at_the_same_time_are_one_after_the_other(
    tmp_path: Path, empty: dict[str, str]
) -> None:
    """As where several machines are deployed to at once."""
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: command(tmp_path, empty, "migrate"), range(3)))
    assert [each.returncode for each in done] == [0, 0, 0], done


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("migrate", "--to", "nonsense"), 1, "nonsense"),
        (("migrate", "--down"), 2, "--down needs --to"),
        (("migration", ""), 2, "say what it does"),
        (("migration", 'a "quoted" word'), 2, "say what it does"),
        (("rotate-epochs",), 1, "try again"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, empty: dict[str, str], words: tuple[str, ...], status: int, said: str
) -> None:
    done = command(tmp_path, empty, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("migrate",), ("migration", "More"), ("rotate-epochs",)])
def test_a_database_that_is_away_is_said_in_a_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """And in the log why, but not with what."""
    done = command(tmp_path, nowhere(tmp_path), *words)
    assert (done.returncode, done.stdout) == (1, "")
    why, sentence = done.stderr.splitlines()
    assert "database unavailable" in why
    assert sentence == "the service cannot reach its storage, try again"
    assert "canary" not in done.stderr


def test_a_migration_is_written_beside_the_others_and_is_as_clean(
    tmp_path: Path, empty: dict[str, str]
) -> None:
    source, project = tmp_path / "src", Path(app.__file__).parents[2]
    shutil.copytree(Path(app.__file__).parent, source / "app")
    shutil.copy(project / "pyproject.toml", tmp_path)
    models = source / "app" / "database" / "models.py"
    more = "\n\nclass Vote(Base):\n    __tablename__ = 'votes'\n\n    at: Mapped[datetime]"
    models.write_text(f"{models.read_text()}{more} = mapped_column(primary_key=True)\n")
    for message in ("add votes.", "Move what the votes were"):
        done = command(tmp_path, empty, "migration", message, source=source)
        assert done.returncode == 0, done.stderr
        found = re.search(r"^Wrote (\S+);", done.stdout, re.MULTILINE)
        assert found is not None
        written = Path(found[1])
        assert written.parent == source / "app" / "database" / "migrations" / "versions"
        for words in (("format", "-q"), ("check", "-q")):
            ruff = [sys.executable, "-m", "ruff", *words, str(written)]
            said = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert said.returncode == 0, said.stdout + written.read_text()
        assert ("votes" in written.read_text().partition("def upgrade")[2]) is ("add" in message)
        done = command(tmp_path, empty, "migrate", source=source)
        assert done.returncode == 0, done.stderr


WRONG = """from alembic import op

revision: str = "{revision}"
down_revision: str | None = "{before}"


def upgrade() -> None:
    op.execute("ALTER TABLE nowhere ADD COLUMN x int")
"""


def test_what_is_wrong_with_migrations_is_said_in_a_sentence(
    tmp_path: Path, empty: dict[str, str]
) -> None:
    source = tmp_path / "src"
    shutil.copytree(Path(app.__file__).parent, source / "app")
    folder = source / "app" / "database" / "migrations" / "versions"
    (folder / "9998.py").write_text(WRONG.format(revision="9998", before=head()))
    done = command(tmp_path, empty, "migrate", source=source)
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert said.startswith("a migration is wrong, nothing was changed: ") and "nowhere" in said
    (folder / "9999.py").write_text(WRONG.format(revision="9999", before=head()))
    done = command(tmp_path, empty, "migrate", source=source)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the migrations 9998 and 9999 are both the newest" in done.stderr
    assert "Traceback" not in done.stderr


async def test_new_epochs_are_told_to_whoever_listens(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, APP_SWEEP_SECONDS="0.2") as service:
        wire = await connect(to=service)
        await wire.ask(type="subscribe", channel="chat:lobby")
        sent = await wire.ask(type="publish", channel="chat:lobby", data={"text": "x"})
        database = own_database(tmp_path)
        done = await asyncio.to_thread(command, tmp_path, database, "rotate-epochs")
        assert done.returncode == 0, done.stderr
        assert re.match(r"Channels with a new epoch: [1-9]", done.stdout)
        restated = await wire.hear_type("subscribed")
        assert restated["reason"] == "epoch_changed"
        assert restated["epoch"] != sent["epoch"]
