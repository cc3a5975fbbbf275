"""What comes after `python -m app`: each command adds its own parser."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

Run = Callable[[Namespace], Awaitable[None]]
"""What a command does: the parser's default for `run`; what it asks people first is `prepare`."""


class Parsers(Protocol):
    """Where a command adds itself: what `ArgumentParser.add_subparsers` gives."""

    def add_parser(self, name: str, *, help: str, description: str) -> ArgumentParser:
        """A parser for what comes after the command's name."""
        ...


Commands = Sequence[Callable[[Parsers], None]]
