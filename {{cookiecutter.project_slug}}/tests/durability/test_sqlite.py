"""What is particular to a file that several processes write to."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from ..conftest import Connect
from ..databases import own_database
from ..nodes import history
from ..service import environment, running

ROOT = Path(__file__).parents[2]
WRITERS, SECONDS, TURNS = 4, 3, 150
"""How many write, for how long, and how often others may while one waits: 90 was seen, where
SQLite's own way of waiting took 300 to 1100."""


def test_nobody_who_writes_waits_for_long(tmp_path: Path) -> None:
    """Counted in turns, which do not depend on the machine; whoever gets none at all fails."""
    command = [sys.executable, "-m", f"{__package__}.programs.writer", str(SECONDS)]
    env = environment(own_database(tmp_path)) | {"PYTHONPATH": str(ROOT / "src")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    writers = [
        subprocess.Popen(command, cwd=ROOT, env=env, text=True, **pipes)  # type: ignore[call-overload]
        for _ in range(WRITERS)
    ]
    outputs = []
    for writer in writers:
        writer.stdin.write("begin\n")
        writer.stdin.flush()
    outputs = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, outputs
    places = [[int(line) for line in re.findall(r"^\d+$", text, re.M)] for text in outputs]
    begun, ended = max(own[0] for own in places), min(own[-1] for own in places)
    waits = [
        after - before - 1
        for own in places
        for before, after in pairwise(own)
        if before >= begun and after <= ended
    ]
    print(f"{len(waits)} writes, waited for {max(waits)} turns")  # noqa: T201 - how near it is
    assert max(waits) <= TURNS


async def test_a_copy_that_is_put_back_is_noticed(
    tmp_path: Path, connect: Connect, channel: str
) -> None:
    """By SQLite's own means, under a node that runs."""
    with running(tmp_path, APP_SWEEP_SECONDS="0.5") as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel=channel)
        said = {"type": "publish", "channel": channel, "data": {"text": "hello"}}
        await ann.ask(**said)
        old = await bob.hear_type("message")
        with (
            closing(sqlite3.connect(tmp_path / "service.db")) as real,
            closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
        ):
            real.backup(copy)
            await ann.ask(**said)
            await bob.hear_type("message")
            copy.backup(real)
        told = await bob.hear()
        assert (told["type"], told["offset"], told["reason"]) == ("subscribed", 1, "epoch_changed")
        await ann.ask(**said)
        new = await bob.hear()
        assert (new["offset"], new["epoch"] == old["epoch"]) == (2, False)
        assert (await history(own, channel))[1:] == [new]
