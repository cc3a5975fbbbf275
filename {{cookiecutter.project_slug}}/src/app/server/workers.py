"""Serves by one process or by several, each a node of its own, on one port."""

import os
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

PATIENCE = 15
"""Seconds in which a worker has to answer: with uvicorn's 5, one that starts on a very busy machine
may be killed for it, and so may the next.
"""


def serve(options: dict[str, Any]) -> None:
    """Serve until told to end; where it could not begin, raises SystemExit with a status."""
    if options["workers"] == 1 or options["reload"]:
        uvicorn.run(**options)
        return
    with TemporaryDirectory(prefix="metrics-") as folder:
        # Whatever declares metrics looks for it as it is imported, which the workers do anew.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        config = uvicorn.Config(**options, timeout_worker_healthcheck=PATIENCE)
        workers = Multiprocess(config, [config.bind_socket()])
        workers.run()
    if any(each.exitcode == STARTUP_FAILURE for each in workers.processes):
        # What uvicorn.run says of one process only.
        raise SystemExit(STARTUP_FAILURE)
