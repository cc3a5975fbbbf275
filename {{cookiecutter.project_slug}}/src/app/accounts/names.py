"""What users may be called: so that others can tell them apart, but for letters that look alike."""

import re
from unicodedata import normalize

from ..auth.base import SERVER
from ..protocol.errors import CommandError, ErrorCode

LONGEST = 64

# Printable for Python and not to be seen: what Unicode calls default-ignorable, and blank symbols.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)


def user_name(text: str) -> str:
    """The name that is meant, as it is shown; CommandError if others cannot read it.

    Scripts may be mixed: a letter of one may look like that of another, as everywhere else.
    """
    name = re.sub(" +", " ", normalize("NFKC", text).strip())
    readable = name.isprintable() and not _UNSEEN.search(name)
    if not 0 < len(name) <= LONGEST or not readable or key_of(name) == SERVER.user:
        wanted = f"a username has 1 to {LONGEST} printable characters, and is not {SERVER.user}"
        raise CommandError(ErrorCode.INVALID_MESSAGE, wanted, field="username")
    return name


def key_of(name: str) -> str:
    """What names share that are one name: those that differ in case."""
    return normalize("NFKC", name.casefold())
