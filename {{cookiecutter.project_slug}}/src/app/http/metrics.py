"""What Prometheus scrapes; a proxy keeps it from the outside."""

import os
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

router = APIRouter(include_in_schema=False)


# No coroutine, so that reading /proc, which takes longer with more connections, holds up nobody.
@router.get("/metrics")
def metrics() -> Response:
    """What `app.metrics` declares, and the process: CPU, memory, files, garbage collection.

    Where several processes count in one folder, the sums over all of them, and no process.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    registry = _of_all(Path(folder)) if folder else REGISTRY
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _of_all(folder: Path) -> CollectorRegistry:
    """What all have counted, and how it is with those that are still there."""
    for gauges in folder.glob("gauge_live*.db"):
        if not _lives(int(gauges.stem.rpartition("_")[2])):
            gauges.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


def _lives(process: int) -> bool:
    if os.name != "posix":
        return True  # Elsewhere the same call would end it.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
