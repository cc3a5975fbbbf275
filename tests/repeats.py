"""Finds the tests of a project that would run as they do in a project before it."""

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import PurePosixPath

from .baking import Project

TEST = re.compile(r"tests/.*test_\w+\.py")
FIXTURES = "tests/conftest.py"
ENDS = (".py", "/__init__.py")
"""Where a module or a package is found."""

SERVICE = "tests/service.py"
RUNNING = {"Connected", "Service", "knock", "running"}
"""What it has for tests that run the project; the rest is a constant, or does not care."""

RUNS = re.compile(r"\b(subprocess|sys\.executable)\b")
DYNAMIC = "import_module"
"""How other code gives away that it uses more of the project than it names."""

KEPT = ("database", "history")
SHARED = ("broker", "coordination", "presence", "redis")
ENGINE = ("protocol", "realtime", "server")
"""Folders of `src/app` and of `tests` for what comes to know a connection as a Principal."""

PROCESSES = {"src/app/server/alone.py", "src/app/server/workers.py"}
"""How many of them serve: `tests/cluster/test_workers.py` alone is about that."""

EVERYTHING = ("",)
BELOW = {
    "": EVERYTHING,
    "tests/accounts/test_commands": ("accounts", *KEPT, *ENGINE),
    "tests/cluster/": ("cluster", *SHARED, *ENGINE),
    "tests/cluster/test_chaos": ("cluster", *SHARED, *KEPT, *ENGINE),
    "tests/cluster/test_outage": ("cluster", *SHARED, *KEPT, *ENGINE),
    "tests/cluster/test_planted_faults": ("cluster", *SHARED, *KEPT, *ENGINE),
    "tests/cluster/test_sign_out": EVERYTHING,
    "tests/cluster/test_ticket": EVERYTHING,
    "tests/database/": (*KEPT, *ENGINE),
    "tests/durability/": ("durability", *KEPT, *ENGINE),
    "tests/history/": (*KEPT, *ENGINE),
    "tests/http/test_limits": ("http", *ENGINE),
    "tests/server/": ("http", *ENGINE),
}
"""Tests of what is below every door: if they run the project, what of it they are about.

Of several beginnings of a name, the longest counts.
"""


def repeated(project: Project, before: Collection[Project]) -> list[str]:
    """Tests all of whose code is, byte for byte, what it is in one of the projects before."""
    known = [basis(other) for other in before]
    return [
        name for name, code in basis(project).items() if any(code == k.get(name) for k in known)
    ]


def basis(project: Project) -> dict[str, dict[str, bytes]]:
    """Each module of tests, with the code on which it rests."""
    return {
        name: {each: project.files[each] for each in _rests_on(project, name)}
        for name in project.files
        if TEST.fullmatch(name)
    }


def _rests_on(project: Project, test: str) -> set[str]:
    """What a test imports, and all that this imports; if it runs the project, that too."""
    above = {f"{folder}/conftest.py" for folder in PurePosixPath(test).parents} - {FIXTURES}
    found, rest = set[str](), {test, *above} & project.files.keys()
    while rest:
        name = rest.pop()
        found.add(name)
        rest |= set(_needs(project, name, test)) - found
    if not any(_runs(project, name) for name in found):
        return found
    parts = BELOW[max((each for each in BELOW if test.startswith(each)), key=len)]
    if parts == EVERYTHING:
        return {*project.files}
    about = {SERVICE, *_inside(project, parts, "src/app", "tests")} - PROCESSES
    return {name for name in about if name == test or not TEST.fullmatch(name)}


def _needs(project: Project, name: str, test: str) -> Iterator[str]:
    """The modules that a module imports for a test, as far as they are the project's."""
    if name == SERVICE:
        return
    for module in _names(name, project.files[name])[0]:
        path = module.replace(".", "/")
        for file in (f"{root}{path}{end}" for root in ("", "src/") for end in ENDS):
            if file in project.files:
                yield file
    if DYNAMIC in project.text(name):
        folder = PurePosixPath(name).parent
        beside = (each for each in project.files if PurePosixPath(each).parent == folder)
        stores = {*KEPT, *SHARED}
        own = stores & {*PurePosixPath(test).parts} or stores
        yield from beside if name.endswith(ENDS[1]) else _inside(project, own, "src/app")


def _inside(project: Project, parts: Collection[str], *roots: str) -> Iterator[str]:
    """The Python in these folders."""
    folders = tuple(f"{root}/{part}/" for root in roots for part in parts)
    return (each for each in project.files if each.startswith(folders) and each.endswith(".py"))


def _runs(project: Project, name: str) -> bool:
    """Whether a module runs the project, itself or by a fixture that everybody may ask for."""
    if name == SERVICE:
        return False
    modules, words = _names(name, project.files[name])
    if any(f"tests.service.{each}" in modules for each in RUNNING):
        return True
    asks = name.startswith("tests/") and words & _fixtures(project.files[FIXTURES])
    return bool(asks or RUNS.search(project.text(name)))


@cache
def _names(name: str, source: bytes) -> tuple[set[str], set[str]]:
    """What a module imports, by full names; and the words that may be those of fixtures."""
    parts = PurePosixPath(name.removeprefix("src/")).with_suffix("").parts
    modules = {".".join(parts[:end]) for end in range(1, len(parts))}  # the packages it is in
    words = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            modules |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.arg):
            words.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return modules, words


@cache
def _fixtures(source: bytes) -> set[str]:
    """The fixtures of all tests that need another module, or another fixture that does."""
    tree, functions = ast.parse(source), ast.FunctionDef | ast.AsyncFunctionDef
    uses = {
        node.name: {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        | {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        for node in tree.body
        if isinstance(node, functions)
    }
    found = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    while more := {name for name, used in uses.items() if used & found} - found:
        found |= more
    return found & uses.keys()
