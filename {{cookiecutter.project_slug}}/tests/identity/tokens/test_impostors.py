"""Users whose tokens make them look like others are themselves, and nobody else."""

import pytest

from app.protocol.channels import personal_channel

from ...service import API_KEY, Service
from .conftest import PROVIDER, Enter

ALIKE = {
    "another case": "Quinn",
    "a blank before": " quinn",
    "a blank after": "quinn ",
    "a line break": "quinn\n",
    "nothing that is seen": "quinn\u200b",
    "letters of another script": "quіnn",
    "a longer one": "quinn.evil",
    "a channel": "user:quinn",
    "a digest": personal_channel("auth0|quinn").partition(":")[2],
    "any": "*",
    "a colon": "quinn:",
    "a path": "../quinn",
}


@pytest.mark.parametrize("user", ALIKE.values(), ids=ALIKE)
async def test_who_is_called_alike_is_another(secured: Service, come: Enter, user: str) -> None:
    quinn, odd = await come(PROVIDER.token("quinn")), await come(PROVIDER.token("auth0|quinn"))
    impostor = await come(PROVIDER.token(user, name="Quinn"))
    assert impostor.welcome["user"]["id"] == user
    channels = {each.welcome["personal"] for each in (quinn, odd, impostor)}
    assert len(channels) == 3
    for each in (quinn, odd):
        channel = each.welcome["personal"]
        assert (await impostor.ask(type="subscribe", channel=channel))["code"] == "forbidden"
        assert (await each.ask(type="subscribe", channel=channel))["type"] == "subscribed"
    own = await impostor.ask(type="subscribe", channel=impostor.welcome["personal"])
    assert own["type"] == "subscribed"

    await quinn.ask(type="subscribe", channel="chat:alike")
    await impostor.say(type="publish", channel="chat:alike", data={"text": "it is me"})
    assert (await quinn.hear_type("message"))["from"] == {"id": user, "name": "Quinn"}

    async with secured.rest({"X-API-Key": API_KEY}) as http:
        await http.delete("/api/connections", params={"user": user})
    assert (await impostor.closed())[0] == 4504
    for each in (quinn, odd):
        assert (await each.ask(type="ping"))["type"] == "pong"


async def test_a_name_is_what_the_token_says_and_no_more(come: Enter) -> None:
    long = await come(PROVIDER.token("rae", name="x" * 1000, picture="https://evil.example"))
    assert set(long.welcome["user"]) <= {"id", "name"}
    assert len(long.welcome["user"]["name"]) <= 256
    odd = await come(PROVIDER.token("rae", name="R\u202ea\0e\n"))
    assert odd.welcome["user"]["name"].isprintable()


async def test_over_rest_it_is_the_token_s_user(secured: Service, come: Enter) -> None:
    wire = await come(PROVIDER.token("sid"))
    await wire.ask(type="subscribe", channel="chat:rest-alike")
    token = PROVIDER.token("tom", scope="publish", name="sid")
    async with secured.rest({"Authorization": f"Bearer {token}"}) as http:
        for more in ({}, {"from": {"id": "sid"}}, {"sender": "sid"}, {"user": "sid"}):
            path = "/api/channels/chat:rest-alike/messages"
            answer = await http.post(path, json={"data": {"text": "x"}, **more})
            if answer.status_code == 201:
                assert (await wire.hear_type("message"))["from"] == {"id": "tom", "name": "sid"}
            else:
                assert answer.status_code == 422
        room = await http.post("/api/rooms", json={"name": "of-sid", "created_by": "sid"})
        assert room.status_code == 422 or room.json()["created_by"] == "tom"
