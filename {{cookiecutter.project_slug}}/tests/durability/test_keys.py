"""A key stands for one message, on whichever process and however often it is retried."""

from collections.abc import Iterator, Sequence

import pytest

from ..conftest import Connect
from ..nodes import history, nodes
from ..service import Service
from .nodes import PROGRAMS


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two nodes that lose the answers to some commits, and find nothing by a sweep."""
    folder, program = tmp_path_factory.mktemp("keys"), (str(PROGRAMS / "losing.py"),)
    with nodes(folder, program=program, APP_SWEEP_SECONDS="600") as services:
        yield services


async def test_a_key_retried_over_two_processes_is_one_message(
    own: Sequence[Service], connect: Connect, channel: str
) -> None:
    wires = [await connect(to=each) for each in own]
    await wires[0].ask(type="subscribe", channel=channel)
    said = {"channel": channel, "data": {"text": "once"}, "key": "k"}
    answers = [await wires[node].ask(type="publish", **said) for node in (0, 1, 0)]
    assert [each["duplicate"] for each in answers] == [False, True, True]
    assert {(each["epoch"], each["offset"]) for each in answers} == {(answers[0]["epoch"], 1)}
    assert len(await history(own[1], channel)) == 1


@pytest.mark.parametrize("node", [0, 1], ids=["here", "elsewhere"])
async def test_a_lost_commit_is_announced_by_the_retry(
    own: Sequence[Service], connect: Connect, channel: str, node: int
) -> None:
    """The publisher hears that it may retry; whoever subscribes where it does so hears it once."""
    ann, bob = await connect("ann", to=own[0]), await connect("bob", to=own[node])
    again = await connect("ann", to=own[node])
    await bob.ask(type="subscribe", channel=channel)
    said = {"channel": channel, "data": {"text": "once"}, "key": f"lost-{node}"}
    refused = await ann.ask(type="publish", **said)
    assert (refused["type"], refused["code"]) == ("error", "unavailable")
    assert len(await history(own[0], channel)) == 1
    assert await bob.heard() == []
    answer = await again.ask(type="publish", **said)
    assert (answer["type"], answer["duplicate"], answer["offset"]) == ("ok", True, 1)
    heard = await bob.hear_type("message")
    assert heard["data"] == said["data"]
    await again.ask(type="publish", **said)
    assert await bob.heard() == []
    assert await history(own[node], channel) == [heard]
