"""Everybody is welcome without a word."""

from ..service import Service
from .base import Refusals, Shown


class _Door:
    refusals = Refusals(no_token="welcome", renewal="unsupported")

    async def show(self, service: Service, token: str | None) -> Shown:
        return Shown()

    async def renewal(self, service: Service, token: str) -> str | None:
        return None


door = _Door()
