"""Carries out one job: opens the crowd, measures, and lets the crowd go."""

from collections.abc import Awaitable, Callable, Mapping

from .connecting import measure_handshakes, measure_memory
from .crowd import Crowd
from .dialects import RefusedError
from .durable import measure_durable
from .fanout import measure
from .job import Job
from .tally import MeasurementError

MEASURES: dict[str, Callable[[Job, Crowd], Awaitable[Mapping[str, object]]]] = {
    "fanout": measure,
    "flatness": measure,
    "memory": measure_memory,
    "handshake": measure_handshakes,
    "durable": measure_durable,
    "nodes": measure,
}


async def carry_out(job: Job) -> Mapping[str, object]:
    """The result of a job; raises MeasurementError where there is no figure to give."""
    crowd = Crowd(job)
    try:
        return await MEASURES[job.measure](job, crowd)
    except (MeasurementError, RefusedError, OSError, ExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, MeasurementError | RefusedError | OSError):
            raise MeasurementError(str(first)) from None
        raise
    finally:
        crowd.leave()


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
