"""Makes projects, and runs commands in them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from .options import CHOICES, QUESTIONS, ROOT

BIN = Path(sys.executable).parent
OUTER = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "args"}
"""What a `make` around these tests would tell the ones inside them."""

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in OUTER},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "UV_PYTHON": os.environ.get("UV_PYTHON", sys.executable),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Tests",
    "GIT_AUTHOR_EMAIL": "tests@localhost",
    "GIT_COMMITTER_NAME": "Tests",
    "GIT_COMMITTER_EMAIL": "tests@localhost",
}


def run(
    *command: str | Path, cwd: Path, fails: bool = False, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; show what it said if it did not end as expected."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if (done.returncode != 0) is not fails:
        outcome = f"ended with {done.returncode}\n{done.stdout[-20_000:]}\n{done.stderr[-20_000:]}"
        pytest.fail(f"{' '.join(map(str, command))} {outcome}", pytrace=False)
    return done


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for git's own: its path and what it says."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@dataclass(frozen=True)
class Project:
    """A project as the template made it; `files` is what it held before anything ran in it."""

    path: Path
    files: dict[str, bytes]

    def text(self, name: str) -> str:
        """What a file said at first."""
        return self.files[name].decode("utf-8")

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; the test fails if the command does."""
        return run(*command, cwd=self.path, **environment)


@contextmanager
def own_extensions() -> Iterator[None]:
    """Let each template, copies too, bring its own `local_extensions`, as in a new process."""
    path, module = sys.path.copy(), sys.modules.pop("local_extensions", None)
    sys.path[:] = [entry for entry in path if Path(entry).resolve() != ROOT]
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop("local_extensions", None)
        if module is not None:
            sys.modules["local_extensions"] = module


def bake_into(folder: Path, template: Path, answers: dict[str, str]) -> Project:
    """Make a project through cookiecutter's own interface, touching nothing else of the user's."""
    for key, value in answers.items():
        assert key in QUESTIONS, f"cookiecutter would ignore {key}"
        assert template != ROOT or value in CHOICES.get(key, [value]), f"{key} offers no {value}"
    config = folder / "cookiecutter.yaml"
    config.write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n", encoding="utf-8")
    with own_extensions():
        path = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            config_file=str(config),
            output_dir=str(folder),
        )
    return Project(Path(path), tree(Path(path)))


def copy_of_template(folder: Path) -> Path:
    """The template as a clone would hold it, without what tools left in it."""
    ignored = {".git", ".venv", ".baked", ".work", ".hypothesis", "__pycache__", "uv.lock"}
    ignored |= {"node_modules"}
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT)
        if path.is_file() and not any(p in ignored or p.endswith("_cache") for p in inside.parts):
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            (folder / inside).write_bytes(path.read_bytes())
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    if not (folder / ".git").exists():
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", message, cwd=folder)
