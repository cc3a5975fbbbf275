"""Removes what the answers did not choose and records them: offline, quick, deterministic."""

import ast
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib.util import resolve_name
from pathlib import Path

RECORD = "{{ cookiecutter | record | escaped }}"
ANSWERS: dict[str, str] = json.loads(RECORD)["cookiecutter"]
COMMAND_LINE = "{{ '_output_dir' in cookiecutter }}" == "True"  # cruft, too, runs this hook


def chosen(prompt: str) -> Callable[[Path], bool]:
    """Of files named after the answers to one prompt, keep the one that was given."""
    kept = (ANSWERS[prompt], "__init__", "base")
    return lambda path: path.stem.removeprefix("test_") in kept


STORE = "development" if ANSWERS["persistence"] == "none" else "database"
ACCOUNTS = "none" if ANSWERS["auth"] == "none" else STORE
"""Which module of `accounts` says who may sign in, as in adapters.py."""

SERVERS = {"redis", "postgresql"} & {ANSWERS["broker"], ANSWERS["persistence"]}
"""What else has to run, and is started for development and tests."""

SEVERAL = (ANSWERS["broker"], ANSWERS["persistence"]) != ("memory", "none")
"""Whether processes share anything, so that there are tests of several."""

ROOTS = ("app.__main__", "app.main", "client.__main__", f"client.auth.{ANSWERS['auth']}")
"""Where service and client start: a module stays if one of these leads to it by imports."""

OFFERED = {
    "app.features.database": ANSWERS["persistence"] != "none",
    "client.accounts": ACCOUNTS == "database",
}
"""What the user's own code may import, and whether it is there."""

REFERENCE = "memory"
"""The adapters of this name stay in every project: the contract tests compare others to them."""

KEPT_WHEN: dict[str, Callable[[Path], bool]] = {
    "licenses/*": lambda path: path.name == ANSWERS["license"],
    "src/app/http/demo/auth/*.js": chosen("auth"),
    "src/app/http/demo/accounts/*.js": lambda path: path.stem == ACCOUNTS,
    "src/app/http/demo/account.js": lambda path: ACCOUNTS == "database",
    "src/app/http/demo/dialog.js": lambda path: ANSWERS["auth"] != "none",
    "src/app/http/demo/sign_in.js": lambda path: ANSWERS["auth"] != "none",
    "src/app/http/demo/token.js": lambda path: ANSWERS["auth"] != "none",
    "src/app/http/demo/turns.js": lambda path: ACCOUNTS == "database",
    "dev/run.py": lambda path: bool(SERVERS),
    "dev/services/*.py": lambda path: path.stem in SERVERS,
    "tests/accounts/people.py": lambda path: ACCOUNTS == "database",
    "tests/auth/provider.py": lambda path: ANSWERS["auth"] != "none",
    "tests/client/desk.py": lambda path: (
        ACCOUNTS == "database" or ANSWERS["auth"] in ("ticket", "cookie")
    ),
    "tests/brokers/*.py": chosen("broker"),
    "tests/cluster": lambda path: ANSWERS["broker"] == "redis",
    "tests/cluster/test_sign_out.py": lambda path: ANSWERS["auth"] != "none",
    "tests/cluster/test_ticket.py": chosen("auth"),
    "tests/cluster/test_history_lost.py": lambda path: ANSWERS["persistence"] == "none",
    "tests/databases/*.py": chosen("persistence"),
    "tests/doors/*.py": chosen("auth"),
    "tests/durability": lambda path: ANSWERS["persistence"] != "none",
    "tests/durability/test_sqlite.py": chosen("persistence"),
    "tests/durability/test_postgresql.py": chosen("persistence"),
    "tests/identity/tokens": lambda path: ANSWERS["auth"] != "none",
    "tests/nodes.py": lambda path: SEVERAL,
    "tests/truth.py": lambda path: SEVERAL,
}
"""What no import leads to, by pattern: whether a file that matches stays."""


def remove_caches() -> None:
    """Remove what tools left in the template's own folder."""
    for pattern in ("*_cache", "__pycache__", ".hypothesis"):
        for cache in list(Path().rglob(pattern)):
            shutil.rmtree(cache)


def modules() -> dict[str, Path]:
    """Every module under `src`, by its dotted name."""
    found = {}
    for path in sorted(Path("src").rglob("*.py")):
        if "migrations" in path.parts:
            continue  # Alembic finds these, and they go with their package.
        parts = path.relative_to("src").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """The names that a module's imports may mean: modules, or things in modules."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def reachable(known: dict[str, Path], roots: Iterable[str]) -> set[str]:
    """The modules that the roots lead to, each with the packages around it."""
    reached: set[str] = set()
    ahead = list(roots)
    while ahead:
        name = ahead.pop()
        if name in known and name not in reached:
            reached.add(name)
            ahead += [name.rpartition(".")[0], *imports(name, known[name])]
    return reached


def mirrored(path: Path) -> Path:
    """The folder of `tests` for what is in a folder of `src`."""
    inside = path.parent.relative_to("src")
    return Path("tests", *inside.parts[inside.parts[:1] == ("app",) :])


def remove(path: Path) -> None:
    """Remove a file with its test; with a package, all that is in it and in its folder of tests."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.name == "__init__.py":
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.rmtree(mirrored(path), ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
        if path.suffix == ".py" and path.parts[0] == "src":
            (mirrored(path) / f"test_{path.stem}.py").unlink(missing_ok=True)


def remove_unchosen() -> None:
    """Keep what the service reaches, what the table keeps, and nothing else."""
    for pattern, keeps in KEPT_WHEN.items():
        for path in sorted(Path().glob(pattern)):
            if not keeps(path):
                remove(path)
    known = modules()
    references = [name for name in known if name.rpartition(".")[2] == REFERENCE]
    offered = [name for name, there in OFFERED.items() if there]
    kept = reachable(known, (*ROOTS, *offered, *references))
    for name, path in known.items():
        if name not in kept:
            remove(path)


def remove_empty_folders() -> None:
    """Remove folders that hold nothing any more, the deepest first."""
    for folder in sorted((path for path in Path().rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def write(path: Path, text: str) -> None:
    """Write text with the same line ends on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def next_steps() -> str:
    """What to type now, in ASCII, since not every terminal shows more."""
    start = "uv run dev/run.py" if Path("dev/run.py").exists() else "uv run python -m app"
    steps = ["make run", "make"] if os.name != "nt" else [start]
    notes = ["start it, then open http://127.0.0.1:8000 in two windows", "see all there is"]
    lines = [f"    {step:<22}{note}" for step, note in zip(steps, notes, strict=False)]
    return "\n".join(["", f"    cd {ANSWERS['project_slug']}", *lines, ""])


remove_caches()
remove_unchosen()
Path("licenses", ANSWERS["license"]).rename("LICENSE")
write(Path(".cookiecutter.json"), f"{RECORD}\n")
remove_empty_folders()
if COMMAND_LINE:
    print(next_steps())
