"""The programs that Redis runs for history, each at once and whole.

A channel is a hash, which says where it stands, and a stream, whose entries have their offset as
ID. Where Redis takes no writes, as without memory, an append is refused before it begins (that is
what its first line says), and what reads goes on without those writes that can wait.
"""

from ..redis import USE_ONE, Script

STAND = """
local fresh, lossless, forgotten = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])

-- Which life of which server this is: another one after each start and after each promotion; so
-- it is, in vain, when its first replica comes. The section that has this costs least: 2 us.
local life = lossless and '' or redis.call('INFO', 'replication'):match('master_replid:(%x+)')

-- Where a channel stands; in a new epoch if what was said last may have been lost.
local function stand(meta)
    local epoch, top, seen, born = unpack(redis.call('HMGET', meta, 'epoch', 'top', 'life', 'born'))
    if not epoch then return '', 0 end
    if not lossless and seen ~= life then
        epoch = fresh
        -- Only the first write of a script may be refused for want of memory, and this never is.
        redis.call('PEXPIRE', meta, forgotten)
        redis.call('HSET', meta, 'epoch', epoch, 'life', life)
    elseif redis.call('PTTL', meta) < 0.9 * forgotten then
        -- Not each time: the append-only file and the replicas get every write.
        redis.pcall('PEXPIRE', meta, forgotten)
    end
    return epoch, tonumber(top), born
end

local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Delete what is too old, in the order in which it came, and not so much that others wait.
local function age(log, kept)
    local oldest = now() - kept
    for _ = 1, 200 do
        local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
        if not first or tonumber(first[2][2]) > oldest then return end
        if type(redis.pcall('XDEL', log, first[1])) == 'table' then return end
    end
end
"""

APPEND = Script(f"""#!lua
{STAND}{USE_ONE}
local meta, log = KEYS[1], KEYS[2]
local topic, body, digest, rate, burst = unpack(ARGV, 4, 8)
local length, kept, remembered = unpack(ARGV, 9)
local key = digest ~= '' and KEYS[3]

-- Begin anew. What is left of before must not be taken for what is numbered from now on.
local function begin()
    redis.call('DEL', log)
    redis.call('HSET', meta, 'epoch', fresh, 'life', life, 'born', fresh)
    redis.call('PEXPIRE', meta, forgotten)
    return fresh, fresh
end

if rate ~= '' then
    local wait = use_one(KEYS[#KEYS], tonumber(rate), tonumber(burst))
    if wait > 0 then return {{'wait', tostring(wait)}} end
end
local epoch, top, born = stand(meta)
local known = key and redis.call('HMGET', key, 'born', 'digest', 'offset', 'body') or {{}}
local duplicate = born and known[1] == born
if duplicate then
    if known[2] ~= digest then return {{'conflict'}} end
    top, body = tonumber(known[3]), known[4]
else
    if epoch == '' then epoch, born = begin() end
    top = redis.call('HINCRBY', meta, 'top', 1)
    local entry = {{log, 'MAXLEN', length, top, 't', now(), 'b', body}}
    if redis.pcall('XADD', unpack(entry)).err then
        -- The stream is ahead, as after somebody copied key by key.
        epoch, born = begin()
        redis.call('XADD', unpack(entry))
    end
    age(log, kept)
    redis.call('PEXPIRE', log, kept)
    if key then
        redis.call('HSET', key, 'born', born, 'digest', digest, 'offset', top, 'body', body)
        redis.call('PEXPIRE', key, remembered)
    end
end
redis.call('PUBLISH', topic, 'message ' .. epoch .. ' ' .. top .. '\\n' .. body)
return {{epoch, top, duplicate and body or false}}
""")

READ = Script(f"""{STAND}
local meta, log = KEYS[1], KEYS[2]
local kept, first, last, limit = unpack(ARGV, 4)
local epoch, top = stand(meta)
local page = {{epoch, top}}
age(log, kept)
local found
if first ~= '' then
    found = redis.call('XRANGE', log, first, top, 'COUNT', limit)
else
    last = math.min(tonumber(last) or top, top)
    found = redis.call('XREVRANGE', log, last, '-', 'COUNT', limit)
end
for _, each in ipairs(found) do
    page[#page + 1] = each[1]
    page[#page + 1] = each[2][4]
end
return page
""")

TOPS = Script(f"""{STAND}
local places = {{}}
for _, meta in ipairs(KEYS) do
    local epoch, top = stand(meta)
    places[#places + 1] = epoch
    places[#places + 1] = top
end
return places
""")

ROTATE = Script(f"""{STAND}
local meta, current = KEYS[1], ARGV[4]
local epoch, top = stand(meta)
if epoch ~= '' and epoch == current then
    epoch = fresh
    redis.call('PEXPIRE', meta, forgotten)
    redis.call('HSET', meta, 'epoch', epoch)
end
return {{epoch, top}}
""")
