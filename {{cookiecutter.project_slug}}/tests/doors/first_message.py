"""The token is the first message."""

from ..service import Service
from .base import Shown


class _Door:
    async def show(self, service: Service, token: str | None) -> Shown:
        return Shown(message={"type": "auth", "token": token})

    async def renewal(self, service: Service, token: str) -> str | None:
        return token


door = _Door()
