"""The token stands in the URL."""

from ..service import Service
from .base import Refusals, Shown


class _Door:
    refusals = Refusals()

    async def show(self, service: Service, token: str | None) -> Shown:
        return Shown(query={} if token is None else {"token": token})

    async def renewal(self, service: Service, token: str) -> str | None:
        return token


door = _Door()
