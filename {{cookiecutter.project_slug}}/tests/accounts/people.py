"""People with accounts: they register, come back, and leave, over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from app.adapters import open_history
from app.database.base import Database

from ..databases import own_database
from ..service import Service

PASSWORD = "what nobody guesses"


@dataclass(frozen=True)
class Member:
    """Somebody who is signed in to a service."""

    service: Service
    name: str
    access: str
    refresh: str

    async def renewed(self) -> "Member":
        """The same, with what the refresh token gives."""
        answer = await renew(self.service, self.refresh)
        assert answer.status_code == 200, answer.text
        return member(self.service, self.name, answer)

    async def sign_out(self, **query: str) -> int:
        """The status with which that is answered."""
        async with self.service.rest(self.bearer) as http:
            answer = await http.delete("/auth/session", params=query)
        return answer.status_code

    async def rooms(self) -> int:
        """The status with which somebody is answered who comes with this token."""
        async with self.service.rest(self.bearer) as http:
            return (await http.get("/api/rooms")).status_code

    @property
    def bearer(self) -> dict[str, str]:
        """What shows the token over HTTP."""
        return {"Authorization": f"Bearer {self.access}"}


def member(service: Service, name: str, answer: httpx2.Response) -> Member:
    """Whom an answer signs in."""
    token = answer.json()
    return Member(service, name, token["access_token"], token["refresh_token"])


async def post(
    service: Service, path: str, said: object, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """An answer to who shows no token, and says something in JSON."""
    async with service.rest(headers) as http:
        return await http.post(path, json=said)


async def register(service: Service, name: str, password: str = PASSWORD) -> httpx2.Response:
    """The answer to who wants an account."""
    return await post(service, "/auth/register", {"username": name, "password": password})


async def sign_in(service: Service, name: str, password: str = PASSWORD) -> httpx2.Response:
    """The answer to who has one."""
    async with service.rest() as http:
        return await http.post("/auth/token", data={"username": name, "password": password})


async def renew(service: Service, refresh_token: str) -> httpx2.Response:
    """The answer to who wants another token."""
    return await post(service, "/auth/refresh", {"refresh_token": refresh_token})


async def joined(service: Service, name: str) -> Member:
    """Somebody new."""
    answer = await register(service, name)
    assert answer.status_code == 201, answer.text
    return member(service, name, answer)


async def back(service: Service, name: str) -> Member:
    """Somebody who was here before, and signs in."""
    answer = await sign_in(service, name)
    assert answer.status_code == 200, answer.text
    return member(service, name, answer)


@asynccontextmanager
async def database_of(service: Service) -> AsyncIterator[Database]:
    """The database in which a service keeps its accounts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_database(service.folder).items():
            patch.setenv(name, value)
        async with open_history() as history:
            yield history.database
