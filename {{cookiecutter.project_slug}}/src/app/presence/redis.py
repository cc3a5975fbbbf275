"""Knows who is in which channel over all nodes on one Redis; what a dead node had goes with it."""

import math
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from time import monotonic
from typing import Annotated, Any

from pydantic import Field

from ..protocol.errors import Unavailable
from ..protocol.events import Member, Roster
from ..redis import RedisClient, Script, open_redis, topic
from ..settings import Section
from .base import Change, Entry

LEASE_SECONDS = 15.0
"""How long a node counts as alive after it last said so."""
UNWATCHED_SECONDS = 10.0
"""How long a leave waits for a sweep of its channel; then whoever sweeps announces it."""
MOST_AT_ONCE = 100
"""How many entries one script handles, so that Redis answers others meanwhile."""
MOST_STEPS = 100
"""How many scripts one sweep may take; what is left is for the next."""

BEGIN = """
local tag, topics = KEYS[1], ARGV[1]
local nodes, leaving = tag .. ':nodes', tag .. ':leaving'
local function now()
    local time = redis.call('TIME')
    return time[1] + time[2] / 1e6
end
-- Neither a session nor a channel has a space: an entry is 'session channel user'.
local function split(text)
    local space = string.find(text, ' ', 1, true)
    return string.sub(text, 1, space - 1), string.sub(text, space + 1)
end
-- What a node has; who is in a channel; the sessions that a user has there.
local function entries(node) return tag .. ':node:' .. node end
local function roster(channel) return tag .. ':in:' .. channel end
local function sessions(who) return tag .. ':of:' .. who end
local function alive(node) return tonumber(redis.call('ZSCORE', nodes, node) or 0) > now() end
-- Prolong a node's lease; 0 if it had lapsed.
local function prolong(node, lease)
    local held = alive(node) and 1 or 0
    redis.call('ZADD', nodes, now() + lease, node)
    return held
end
-- Remove a session; with a user's last one the leave is due, then.
local function remove(entry, due)
    local session, who = split(entry)
    if redis.call('SREM', sessions(who), session) == 1
        and redis.call('EXISTS', sessions(who)) == 0 then
        redis.call('ZADD', leaving, due, who)
    end
end
-- Tell all nodes, as `PresencePush` does; here, or two could tell it in another order.
local function announce(kind, channel, member)
    local count = redis.call('HLEN', roster(channel))
    redis.call('PUBLISH', topics .. channel, 'presence\\n{"type":"' .. kind .. '","channel":"'
        .. channel .. '","user":' .. member .. ',"count":' .. count .. '}')
    return count
end
-- Let a leave happen.
local function depart(who)
    local channel, user = split(who)
    local member = redis.call('HGET', roster(channel), user)
    redis.call('ZREM', leaving, who)
    redis.call('HDEL', roster(channel), user)
    return member and {channel, member, announce('leave', channel, member)}
end
"""

ENTER = Script(f"""{BEGIN}
local node, lease = ARGV[2], tonumber(ARGV[3])
local held, joined = prolong(node, lease), {{}}
for at = 4, #ARGV, 2 do
    local entry, member = ARGV[at], ARGV[at + 1]
    local session, who = split(entry)
    local channel, user = split(who)
    redis.call('SADD', sessions(who), session)
    redis.call('SADD', entries(node), entry)
    redis.call('ZREM', leaving, who)
    if redis.call('HSETNX', roster(channel), user, member) == 1 then
        joined[#joined + 1] = {{(at - 4) / 2, announce('join', channel, member)}}
    end
end
return {{held, joined}}
""")

LEAVE = Script(f"""{BEGIN}
local node, due = ARGV[2], now() + ARGV[3]
for at = 4, #ARGV do
    redis.call('SREM', entries(node), ARGV[at])
    remove(ARGV[at], due)
end
""")

RENEW = Script(f"{BEGIN} return prolong(ARGV[2], tonumber(ARGV[3]))")

GIVE_UP = Script(f"{BEGIN} redis.call('ZADD', nodes, 'XX', now(), ARGV[2])")

LOOK = Script(f"""{BEGIN}
local own, judges, grace = ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local unwatched, first, most = ARGV[5], ARGV[6], tonumber(ARGV[7])
-- Take from the dead what they had, some at a time, as if all had left when their lease ended.
local more, dead = most, {{}}
if judges and alive(own) then
    dead = redis.call('ZRANGEBYSCORE', nodes, '-inf', now(), 'LIMIT', 0, most)
end
for _, node in ipairs(dead) do
    local due = redis.call('ZSCORE', nodes, node) + grace
    for _, entry in ipairs(redis.call('SPOP', entries(node), more)) do
        remove(entry, due)
        more = more - 1
    end
    if more == 0 then break end
    redis.call('ZREM', nodes, node)
end
local over = now() - unwatched
for _, who in ipairs(redis.call('ZRANGEBYSCORE', leaving, '-inf', over, 'LIMIT', 0, most)) do
    depart(who)
end
local due = redis.call('ZRANGEBYSCORE', leaving, '-inf', now(), 'LIMIT', first, most)
return {{more == 0 and 1 or 0, due}}
""")

DEPART = Script(f"""{BEGIN}
local left = {{}}
for at = 2, #ARGV do
    local due = redis.call('ZSCORE', leaving, ARGV[at])
    if due and tonumber(due) <= now() then left[#left + 1] = depart(ARGV[at]) or nil end
end
return left
""")

ROSTER = Script(f"""{BEGIN}
local key, limit = roster(ARGV[2]), tonumber(ARGV[3])
local cursor, members, seen = '0', {{}}, {{}}
repeat
    local found = redis.call('HSCAN', key, cursor, 'COUNT', limit + 1)
    cursor = found[1]
    for at = 1, #found[2], 2 do
        if #members < limit and not seen[found[2][at]] then
            seen[found[2][at]] = true
            members[#members + 1] = found[2][at + 1]
        end
    end
until cursor == '0' or #members >= limit
return {{redis.call('HLEN', key), members}}
""")


class RedisPresenceSettings(Section):
    """How long somebody may be away without having left."""

    presence_grace_seconds: Annotated[float, Field(ge=0)] = 5


class RedisPresence:
    """Counts each user once over all nodes; a node's lease stands for everything it entered."""

    carries = True

    def __init__(self, client: RedisClient, grace: float, lease: float = LEASE_SECONDS) -> None:
        self._client = client
        self._grace = grace
        self._lease = lease
        self._node = token_hex(8)
        self._whole = True
        """Whether nothing can have been taken from this node that it did not hear of."""
        self._lapsed = -math.inf
        """When this node found that its lease had lapsed."""

    async def enter(self, entries: Sequence[Entry]) -> Sequence[Change]:
        """Note sessions; a join per user who was not there."""
        changes: list[Change] = []
        for start in range(0, len(entries), MOST_AT_ONCE):
            some = entries[start : start + MOST_AT_ONCE]
            told = [part for each in some for part in (_name(each), _encode(each.member))]
            held, joined = await self._hold(ENTER, *told)
            self._whole = self._whole and bool(held)
            changes += [
                Change(some[number].channel, some[number].member, count, joined=True)
                for number, count in joined
            ]
        return changes

    async def leave(self, entries: Sequence[Entry]) -> None:
        """Remove sessions; with a user's last one the grace begins."""
        for start in range(0, len(entries), MOST_AT_ONCE):
            told = [_name(each) for each in entries[start : start + MOST_AT_ONCE]]
            await self._run(LEAVE, self._node, self._grace, *told)

    async def roster(self, channel: str, limit: int) -> Roster:
        """Those whose join was reported, and whose leave was not."""
        count, members = await self._run(ROSTER, channel, limit)
        return Roster(users=[_decode(member) for member in members], count=count)

    async def renew(self) -> bool:
        """Prolong the lease."""
        held = bool(await self._hold(RENEW)) and self._whole
        self._whole = True
        if not held:
            self._lapsed = monotonic()
        return held

    async def sweep(self, channels: Collection[str]) -> Sequence[Change]:
        """The leaves that are due in these channels; those that nobody watches wait a while."""
        watched = {channel.encode() for channel in channels}
        # Where Redis was away the other leases lapsed, too, and say nothing until all were back.
        judges = int(monotonic() - self._lapsed > self._lease)
        changes: list[Change] = []
        passed = 0
        for _ in range(MOST_STEPS):
            how = judges, self._grace, UNWATCHED_SECONDS, passed, MOST_AT_ONCE
            more, due = await self._run(LOOK, self._node, *how)
            names = [name for name in due if name.partition(b" ")[0] in watched]
            passed += len(due) - len(names)
            for channel, member, count in await self._run(DEPART, *names) if names else ():
                changes.append(Change(channel.decode(), _decode(member), count, joined=False))
            if not more and len(due) < MOST_AT_ONCE:
                break
        return changes

    async def take_up(self) -> None:
        """Let the lease begin."""
        await self._hold(RENEW)

    async def give_up(self) -> None:
        """Let the lease end now: what is left here is for others to take."""
        await self._run(GIVE_UP, self._node)

    async def _hold(self, script: Script, *arguments: Any) -> Any:
        """Run what prolongs the lease; if nobody knows whether it did, it counts as lapsed."""
        try:
            return await self._run(script, self._node, self._lease, *arguments)
        except Unavailable:
            self._whole = False
            raise

    async def _run(self, script: Script, *arguments: Any) -> Any:
        prefix = self._client.prefix
        return await self._client.run(
            script, (prefix + ":{presence}",), topic(prefix, ""), *arguments
        )


def _name(entry: Entry) -> str:
    return f"{entry.session} {entry.channel} {entry.member.id}"


def _encode(member: Member) -> str:
    return member.model_dump_json(exclude_none=True)


def _decode(member: bytes) -> Member:
    return Member.model_validate_json(member)


@asynccontextmanager
async def open_presence() -> AsyncIterator[RedisPresence]:
    """Presence over the nodes on one Redis; the lease begins and ends with it."""
    grace = RedisPresenceSettings().presence_grace_seconds
    async with open_redis() as client:
        presence = RedisPresence(client, grace, LEASE_SECONDS)
        with suppress(Unavailable):
            await presence.take_up()
        try:
            yield presence
        finally:
            with suppress(Unavailable):
                await presence.give_up()
