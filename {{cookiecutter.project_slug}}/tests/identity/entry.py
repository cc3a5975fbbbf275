"""Coming in, being turned away or put out, in whatever way this service was generated with."""

import asyncio
from collections.abc import Sequence

from websockets.asyncio.client import connect as handshake
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..doors import open_door
from ..doors.base import Refused, Shown
from ..service import PATIENCE, Service, Wire, knock
from ..shapes import Frame, parse

SOON = 1.0
"""Seconds within which what ends does end."""


async def enter(service: Service, token: str | None) -> Wire:
    """A connection that has shown a token and is welcome."""
    shown = await open_door().show(service, token)
    wire = Wire(await knock(service, shown, max_queue=None))
    if shown.message is not None:
        await wire.say(**shown.message)
    wire.welcome = await wire.hear()
    assert wire.welcome["type"] == "welcome", wire.welcome
    return wire


async def reception(service: Service, token: str | None) -> int | str:
    """What a token comes to: a close code, a status of HTTP, or else the type of the first answer.

    A refused command says why: its code stands for it.
    """
    try:
        return await answer_to(service, await open_door().show(service, token))
    except Refused as refused:
        return refused.status


async def answer_to(service: Service, shown: Shown) -> int | str:
    """The same, of what a connection shows."""
    try:
        connection = await knock(service, shown)
    except InvalidStatus as refused:
        return refused.response.status_code
    return await _first_answer(Wire(connection), shown)


async def answer_from(service: Service, shown: Shown, origins: Sequence[str]) -> int | str:
    """The same, where the page says that it is from there; or from several places, or from none."""
    headers = [*shown.headers.items()]
    headers = [each for each in headers if each[0] != "Origin"] + [("Origin", o) for o in origins]
    query = "&".join(f"{name}={value}" for name, value in shown.query.items())
    try:
        connection = await handshake(f"{service.ws}?{query}", additional_headers=headers)
    except InvalidStatus as refused:
        return refused.response.status_code
    return await _first_answer(Wire(connection), shown)


async def _first_answer(wire: Wire, shown: Shown) -> int | str:
    async with wire.connection:
        try:
            if shown.message is not None:
                await wire.say(**shown.message)
            answer = await wire.hear()
        except ConnectionClosed:
            return wire.connection.close_code or 0
    return str(answer.get("code", answer["type"]))


async def remainder(wire: Wire) -> tuple[list[Frame], int]:
    """All that is heard up to the end of a connection, and the code with which it ends."""
    heard: list[Frame] = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                heard.append(parse(await wire.connection.recv()))
        except ConnectionClosed:
            return heard, wire.connection.close_code or 0
