"""Pages of history, in both directions, with what makes them end."""

import pytest

from ..conftest import Connect
from ..service import Service, Wire, pruned
from ..shapes import Frame


@pytest.fixture
async def reader(connect: Connect, channel: str) -> Wire:
    """Somebody in a room where seven things were said."""
    wire = await connect()
    await wire.ask(type="subscribe", channel=channel)
    for number in range(1, 8):
        await wire.ask(type="publish", channel=channel, data={"text": str(number)})
    return wire


def texts(page: Frame) -> str:
    """What the messages of a page say."""
    return "".join(each["data"]["text"] for each in page["messages"])


@pytest.mark.parametrize(
    ("window", "expected", "more"),
    [
        ({}, "1234567", False),
        ({"limit": 3}, "567", True),
        ({"limit": 7}, "1234567", False),
        ({"after": 0}, "1234567", False),
        ({"after": 0, "limit": 3}, "123", True),
        ({"after": 3, "limit": 4}, "4567", False),
        ({"after": 5, "limit": 1}, "6", True),
        ({"after": 7}, "", False),
        ({"after": 100}, "", False),
        ({"before": 1}, "", False),
        ({"before": 4}, "123", False),
        ({"before": 4, "limit": 2}, "23", True),
        ({"before": 8, "limit": 7}, "1234567", False),
        ({"before": 100, "limit": 1}, "7", True),
        ({"before": 0}, "", False),
    ],
)
async def test_a_page_is_what_was_asked_for(
    reader: Wire, channel: str, window: dict[str, int], expected: str, more: bool
) -> None:
    page = await reader.ask(type="history", channel=channel, **window)
    assert (texts(page), page["has_more"]) == (expected, more)
    assert page["channel"] == channel


async def test_paging_back_sees_everything_once(reader: Wire, channel: str) -> None:
    pages: list[str] = []
    before, more = 100, True
    while more:
        page = await reader.ask(type="history", channel=channel, before=before, limit=3)
        pages.insert(0, texts(page))
        before, more = page["messages"][0]["offset"], page["has_more"]
    assert pages == ["1", "234", "567"]


async def test_a_page_of_another_epoch_is_not_given(reader: Wire, channel: str) -> None:
    page = await reader.ask(type="history", channel=channel)
    same = await reader.ask(type="history", channel=channel, epoch=page["epoch"])
    assert same == page
    refused = await reader.ask(type="history", channel=channel, after=1, epoch="another")
    assert (refused["code"], refused["field"]) == ("unrecoverable", "epoch")


async def test_the_epoch_from_before_the_beginning_matches_any(reader: Wire, channel: str) -> None:
    """Who subscribed before anything was published knows no other."""
    page = await reader.ask(type="history", channel=channel, after=0, epoch="")
    assert page.get("code") is None
    assert texts(page) == "1234567"


async def test_a_page_has_one_direction(reader: Wire, channel: str) -> None:
    refused = await reader.ask(type="history", channel=channel, after=1, before=3)
    assert (refused["code"], refused["field"]) == ("invalid_message", "before")


async def test_what_retention_took_is_not_there(connect: Connect, small: Service) -> None:
    wire = await connect(to=small)
    await wire.ask(type="subscribe", channel="chat:kept")
    for _ in range(12):
        await wire.ask(type="publish", channel="chat:kept", data={"text": "x"})
    page = await pruned(wire, "chat:kept", 3)
    assert [each["offset"] for each in page["messages"]] == list(range(3, 13))
    assert (await wire.ask(type="history", channel="chat:kept", before=3))["messages"] == []
