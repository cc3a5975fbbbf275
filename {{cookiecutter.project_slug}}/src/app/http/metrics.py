"""What Prometheus scrapes; a proxy keeps it from the outside."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

router = APIRouter(include_in_schema=False)


# No coroutine, so that reading /proc, which takes longer with more connections, holds up nobody.
@router.get("/metrics")
def metrics() -> Response:
    """What `app.metrics` declares, and the process: CPU, memory, files, garbage collection."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
