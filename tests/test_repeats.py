"""Which tests of a project need not run again, with projects made up for it."""

from pathlib import Path

import pytest

from .baking import Project
from .repeats import repeated

FILES = {
    "src/app/adapters.py": "from .auth.door import open_door",
    "src/app/auth/__init__.py": "",
    "src/app/auth/door.py": "first",
    "src/app/broker/memory.py": "",
    "src/app/history/memory.py": "",
    "src/app/realtime/hub.py": "from ..history import memory",
    "src/app/server/frames.py": "",
    "tests/conftest.py": "from .service import running\ndef service(): running()\ndef room(): ...",
    "tests/contracts.py": 'import_module(f"app.{role}.{name}")',
    "tests/doors/__init__.py": "import_module(MODES[0])",
    "tests/doors/door.py": "",
    "tests/service.py": "import subprocess",
    "tests/auth/test_door.py": "from app.auth.door import open_door",
    "tests/broker/test_contract.py": "from .. import contracts",
    "tests/cluster/test_chaos.py": "from ..service import running",
    "tests/cluster/test_proxy.py": "from ..service import running",
    "tests/cluster/test_ticket.py": "from ..service import running",
    "tests/durability/test_kill.py": "from ..service import running",
    "tests/history/test_commands.py": "import subprocess",
    "tests/history/test_contract.py": "from .. import contracts",
    "tests/realtime/stage.py": "from ..service import PATIENCE\nfrom app.realtime import hub",
    "tests/realtime/test_hub.py": "from .stage import stage\n\ndef test_it(room): pass",
    "tests/realtime/test_session.py": "def test_it(service): pass",
    "tests/server/test_frames.py": "from ..service import running",
    "tests/test_main.py": "import subprocess",
    "tests/test_tokens.py": "from .doors import open_door",
    "tests/test_words.py": "import app.auth",
}
"""A project; this is all that it and its tests have."""

TESTS = {name for name in FILES if "/test_" in name}
RUNNING = {"cluster/test_ticket", "realtime/test_session", "test_main"}
CLUSTER = {"cluster/test_chaos", "cluster/test_proxy"}
KEPT = {"cluster/test_chaos", "durability/test_kill", "history/test_commands"}
HISTORY = {*KEPT, "history/test_contract"}
BELOW = {*CLUSTER, *KEPT, "server/test_frames"}


def made(*changed: str) -> Project:
    """A project in which these files are other ones."""
    files = FILES | dict.fromkeys(changed, "second = 1")
    return Project(Path("project"), {name: text.encode() for name, text in files.items()})


def test_what_is_the_same_runs_once() -> None:
    assert repeated(made(), []) == []
    assert {*repeated(made(), [made()])} == TESTS


@pytest.mark.parametrize(
    ("changed", "runs"),
    [
        ("src/app/auth/door.py", {"auth/test_door"}),
        ("src/app/broker/memory.py", {*CLUSTER, "broker/test_contract"}),
        ("src/app/history/memory.py", {*HISTORY, "realtime/test_hub"}),
        ("src/app/history/other.py", HISTORY),
        ("src/app/server/frames.py", BELOW),
        ("src/app/server/workers.py", set()),
        ("src/app/adapters.py", set()),
        ("src/app/http/page.py", {"server/test_frames"}),
        ("tests/doors/door.py", {"test_tokens"}),
        ("tests/doors/another.py", {"test_tokens"}),
        ("tests/realtime/conftest.py", {*BELOW, "realtime/test_hub"}),
        ("tests/realtime/stage.py", {*BELOW, "realtime/test_hub"}),
        ("tests/test_words.py", {"test_words"}),
    ],
)
def test_what_rests_on_something_else_runs_again(changed: str, runs: set[str]) -> None:
    """With all that runs the project, unless it is about a part that is the same."""
    left_out = repeated(made(changed), [made()])
    assert TESTS - {*left_out} == {f"tests/{name}.py" for name in runs | RUNNING}


def test_it_need_not_be_the_same_project_that_had_it() -> None:
    door, history = "src/app/auth/door.py", "src/app/history/memory.py"
    left_out = repeated(made(door, history), [made(door, "src/app/server/frames.py"), made()])
    assert {"tests/auth/test_door.py", "tests/server/test_frames.py"} <= {*left_out}
    assert "tests/history/test_contract.py" not in left_out
