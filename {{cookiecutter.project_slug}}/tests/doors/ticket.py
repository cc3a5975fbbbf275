"""The token is exchanged for a ticket, which stands in the URL."""

from ..service import Service
from .base import Refusals, Refused, Shown


class _Door:
    refusals = Refusals(spoilt=4101, exchanged=True, beyond_a_field=401)

    async def show(self, service: Service, token: str | None) -> Shown:
        if token is None:
            return Shown()
        return Shown(query={"ticket": await _ticket(service, token)})

    async def renewal(self, service: Service, token: str) -> str | None:
        return await _ticket(service, token)


async def _ticket(service: Service, token: str) -> str:
    async with service.rest({"Authorization": f"Bearer {token}"}) as http:
        answer = await http.post("/auth/ticket")
    if answer.status_code != 201:
        raise Refused(answer.status_code)
    return str(answer.json()["ticket"])


door = _Door()
