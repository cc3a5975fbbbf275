"""`python -m benchmarks.driver`: a job on standard input, its result on standard output."""

import gc
import json
import sys

import uvloop

from .job import Job
from .tally import MeasurementError
from .work import carry_out


def main() -> None:
    """Carry out one job; the answer is one line, `{"result": ...}` or `{"failure": ...}`."""
    job = Job.from_json(sys.stdin.read())
    gc.disable()  # a job is short, and a pause would be waited for by everybody
    try:
        answer: dict[str, object] = {"result": uvloop.run(carry_out(job))}
    except MeasurementError as failure:
        answer = {"failure": str(failure)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
