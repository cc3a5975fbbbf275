"""Where Redis is, as people write it."""

from urllib.parse import quote

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool

from app.redis import RedisSettings
from app.redis.address import pool_of

PASSWORD = "s3cr:t/@ ?#"
SAID = "canary" + quote(PASSWORD, safe="")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        f"http://:{SAID}@localhost",
        f"redis://:{SAID}@localhost:port",
        f"redis://:{SAID}@localhost:99999",
        f"redis://:{SAID}@localhost/name",
        f"redis://:{SAID}@one:1,two:2/0",
        f"redis://:{SAID}@localhost?nonsense=1",
        f"redis://:{SAID}@localhost?health_check_interval=often",
        "redis://user:canary/secret@localhost",
        "redis://user:canary#secret@localhost",
        f"redis+sentinel://:{SAID}@localhost:26379",
        f"redis+sentinel://:{SAID}@localhost:26379/",
        f"redis+sentinel://:{SAID}@localhost/name",
        f"redis+sentinel://:{SAID}@localhost:26379/name/zero",
        f"redis+something://:{SAID}@localhost:26379/name",
        f"unix+sentinel://:{SAID}@localhost:26379/name",
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_sentence(url: str) -> None:
    (complaint,) = RedisSettings(redis_url=url).complaints()
    assert complaint.startswith("APP_REDIS_URL is no address of Redis: say, for example, redis://")
    assert "canary" not in complaint
    assert "secret" not in complaint


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/3",
        "redis://[::1]:6379",
        "rediss://localhost?ssl_ca_certs=ca.pem&ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://one:26379,two:26380/name",
        "rediss+sentinel://one:26379/name/1?ssl_ca_certs=ca.pem&sentinel_password=x",
    ],
)
def test_an_address_is_taken_as_people_write_it(url: str) -> None:
    assert list(RedisSettings(redis_url=url).complaints()) == []


def test_a_password_may_hold_anything() -> None:
    written = quote(PASSWORD, safe="")
    for url in (
        f"redis://{quote('a b')}:{written}@localhost/2",
        f"redis+sentinel://{quote('a b')}:{written}@one:1,two:2/name/2",
    ):
        known = pool_of(url, 1).connection_kwargs
        assert (known["username"], known["password"], known["db"]) == ("a b", PASSWORD, 2)


def test_sentinels_are_asked_one_after_another_within_the_time_there_is() -> None:
    url = (
        "rediss+sentinel://app:inner@one:1,[::2]:2/name/1"
        "?ssl_ca_certs=ca.pem&sentinel_username=asker&sentinel_password=outer"
    )
    pool = pool_of(url, 3)
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "name"
    assert pool.connection_kwargs["ssl_ca_certs"] == "ca.pem"
    asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("one", 1), ("::2", 2)]
    for each in asked:
        assert (each["username"], each["password"]) == ("asker", "outer")
        assert each["ssl_ca_certs"] == "ca.pem"
        assert each["socket_connect_timeout"] == each["socket_timeout"] == 1
        assert each["retry"].get_retries() == 0


def test_a_url_does_not_change_what_the_service_relies_on() -> None:
    url = "redis://localhost?socket_timeout=9&decode_responses=true&protocol=3"
    known = pool_of(url, 1).connection_kwargs
    assert known["socket_timeout"] is None
    assert known["decode_responses"] is False
    assert known["protocol"] == 2
