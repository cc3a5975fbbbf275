"""The service, whose nodes notice within seconds that one of them is gone: a program."""

from app.__main__ import run
from app.presence import redis

redis.LEASE_SECONDS = 2.5

if __name__ == "__main__":
    run()
