"""The token is in a cookie, and the page in which it is used says where it is from."""

from ..service import Service
from .base import Refusals, Shown


class _Door:
    refusals = Refusals(renewal="unsupported")

    async def show(self, service: Service, token: str | None) -> Shown:
        origin = {"Origin": service.http}
        return Shown(headers=origin if token is None else {**origin, "Cookie": f"session={token}"})

    async def renewal(self, service: Service, token: str) -> str | None:
        return None


door = _Door()
