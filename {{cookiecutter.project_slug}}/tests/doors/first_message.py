"""The token is the first message."""

from ..service import Service
from .base import Refusals, Shown


class _Door:
    refusals = Refusals(
        no_token="invalid_message",
        beyond_a_field="invalid_message",
        beyond_a_header="invalid_message",
    )

    async def show(self, service: Service, token: str | None) -> Shown:
        return Shown(message={"type": "auth", "token": token})

    async def renewal(self, service: Service, token: str) -> str | None:
        return token


door = _Door()
