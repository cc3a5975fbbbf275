"""The service, begun again each time it is killed: in a child, so that nothing is imported twice.

The file `pid` says which process serves.
"""

import os
import signal
from pathlib import Path

import app.main  # noqa: F401 - what the child would import
from app.__main__ import run
from app.database.migration import head

TERM = {signal.SIGTERM}

head()
leaving = False
child = 0


def leave(number: int, frame: object) -> None:
    """End with the child that there is."""
    global leaving
    leaving = True
    os.kill(child, number)


while not leaving:
    signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
    child = os.fork()
    # In the child, uvicorn hands a signal on to whoever had it before.
    signal.signal(signal.SIGTERM, leave if child else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERM)
    if not child:
        Path("pid").write_text(str(os.getpid()))
        run([])
        break
    os.waitpid(child, 0)
