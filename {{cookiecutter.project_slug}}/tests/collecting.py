"""Garbage collections that come whenever something is made, and need a little of the stack."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting() -> Iterator[list[object]]:
    """Collect all the time; gives what failed in a collection, where nobody could handle it."""
    failed: list[object] = []
    hook, often = sys.unraisablehook, gc.get_threshold()
    sys.unraisablehook = failed.append
    gc.callbacks.append(_finalise)
    gc.set_threshold(1)
    try:
        yield failed
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(_finalise)
        sys.unraisablehook = hook


def _finalise(phase: str, info: dict[str, int]) -> None:
    _descend(30)


def _descend(levels: int) -> None:
    if levels:
        _descend(levels - 1)
