"""The service as it is, but that each publication has a transaction of its own."""

import runpy

from app.realtime import waiting

if __name__ == "__main__":
    waiting.MOST_AT_ONCE = 1
    runpy.run_module("app", run_name="__main__")
