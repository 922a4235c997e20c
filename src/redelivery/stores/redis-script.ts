// The Lua script of the queue of deferred deliveries, which the server runs for each call. Its keys:
//
//   due         sorted set: ids by the time at which they are due, in the server's milliseconds
//   event:ID    hash: the record and its size in bytes, the event's state, note, lease, time of storing and group
//   sums:GROUP  sorted set: ids by when they came; GROUP is state, line feed, JSON of failure, secret, key and route
//   bodies      hash: the number of events with one body, by the first 16 digits of their ids
//   dropped     list: the events that an operator dropped, until a summary reports them
//   totals      hash: bytes of all events and of each group, and `life`, which differs after everything was lost
//
// No key has a time to live, so a server that evicts only keys that have one never evicts ours.
import * as contract from './store.ts';

/** The maximum number of events that one call looks at, which blocks the server for a few milliseconds. */
const PAGE = 250;

export const KEYS = ['due', 'event:', 'sums:', 'totals', 'bodies', 'dropped'] as const;

/** The script's first argument is the name of a call below, the others are that call's arguments. */
export const SCRIPT = `local due, events, sums, totals, bodies, dropped = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local FIELDS = {'bytes', 'state', 'note', 'lease', 'stored', 'group'}
local calls = {}
local function load(id)
  local found = redis.pcall('HMGET', events .. id, unpack(FIELDS))
  if found.err or not found[1] then return nil end
  local event = {}
  for at, field in ipairs(FIELDS) do event[field] = found[at] or '' end
  event.bytes, event.stored = tonumber(event.bytes) or 0, tonumber(event.stored) or 0
  return event
end
local function leased(lease)
  local id = string.sub(lease, 1, ${contract.ID_LENGTH})
  local event = load(id)
  return id, event and event.lease == lease and event or nil
end
local function dueAt(id) return tonumber(redis.call('ZSCORE', due, id) or 0) end
local function moveTo(id, ms) redis.call('ZADD', due, ms, id) end
local function save(id, event, ms)
  for _, field in ipairs(FIELDS) do redis.call('HSET', events .. id, field, event[field]) end
  moveTo(id, ms)
end
local function isFree(id, event) return event.lease == '' or dueAt(id) <= now end
local function number(hash, field) return tonumber(redis.call('HGET', hash, field) or 0) end
local function grow(hash, field, by)
  if redis.call('HINCRBY', hash, field, by) < 1 then redis.call('HDEL', hash, field) end
end
local function counted(event) return math.max(event.bytes, ${contract.LEAST_BYTES}) end
local function sum(id, event, sign)
  grow(totals, 'bytes', sign * counted(event))
  grow(totals, event.group, sign * counted(event))
  grow(bodies, string.sub(id, 1, 16), sign)
end
local function count(id, event)
  local isNote, words, came = pcall(function()
    local note = cjson.decode(event.note)
    return cjson.encode({note.failure, note.secret, note.key, note.route}), note.at + 0
  end)
  local group = event.state .. '\\n' .. (isNote and words or '{}')
  local isOneMore = redis.call('HEXISTS', totals, group) == 0 and redis.call('HLEN', totals) >= ${contract.MOST_GROUPS}
  event.group = isOneMore and event.state .. '\\n{}' or group
  sum(id, event, 1)
  redis.call('ZADD', sums .. event.group, isNote and math.max(0, math.min(came, 8.64e15)) or 0, id)
end
local function discount(id, event)
  sum(id, event, -1)
  redis.call('ZREM', sums .. event.group, id)
end
local function become(id, event, state, note)
  discount(id, event)
  event.state, event.note = state, note
  count(id, event)
end
local function leave(id, event)
  discount(id, event)
  redis.call('ZREM', due, id)
  redis.call('UNLINK', events .. id)
  return 'dropped'
end
local function entries(found)
  local all = {}
  for _, id in ipairs(found) do
    local event = load(id)
    if event then all[#all + 1] = {id, event.bytes, event.state, event.note, dueAt(id) - now} end
  end
  return all
end

function calls.look()
  local set = redis.pcall('SET', events, '', 'PX', 1)
  if set.err and not string.find(set.err, 'OOM') then return set end
  if redis.call('EXISTS', due) == 0 and number(totals, 'bytes') > 0 then
    for _, group in ipairs(redis.call('HKEYS', totals)) do redis.call('UNLINK', sums .. group) end
    redis.call('UNLINK', totals, bodies)
  end
  local info = redis.pcall('INFO', 'memory')
  local policy = type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''
  return {set.err or '', policy, redis.call('HGET', totals, 'life') or '', tostring(number(totals, 'bytes'))}
end
-- Its first write is the one that a full server refuses.
function calls.add(id, most, pause, note, head, body)
  local old, event = load(id), {bytes = #head + #body, state = 'waiting', note = note, lease = '', stored = now}
  local bytes = number(totals, 'bytes') - (old and counted(old) or 0) + counted(event)
  if bytes > tonumber(most) then return 'full' end
  local twins = number(bodies, string.sub(id, 1, 16))
  if not old and twins >= ${contract.MAX_OF_ONE_BODY} then return 'crowded' end
  dueAt(id) -- fails where somebody else has that key
  local set = redis.pcall('HSET', events .. id, 'record', head .. body)
  if type(set) == 'table' then return set.err end
  if old then discount(id, old) end
  redis.call('HSETNX', totals, 'life', time[1] .. '.' .. time[2])
  count(id, event)
  save(id, event, now + pause)
  return old and 'replaced' or 'stored'
end
function calls.lease(limit, room, most, token, ...)
  local held, found = {}, {}
  for _, lease in ipairs({...}) do
    local id, event = leased(lease)
    if event then moveTo(id, now + ${contract.LEASE_MS}) end
    held[id] = true
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ${PAGE})) do
    if #found >= tonumber(limit) then break end
    local event = load(id)
    if not event then redis.call('ZREM', due, id) -- the server has lost it
    elseif not held[id] then
      local bytes = redis.call('HSTRLEN', events .. id, 'record')
      local isRead = bytes <= tonumber(most)
      if isRead and bytes > tonumber(room) then break end
      room = room - (isRead and bytes or 0)
      event.lease = id .. ' ' .. token .. #found
      save(id, event, now + ${contract.LEASE_MS})
      local record = isRead and (redis.call('HGET', events .. id, 'record') or '')
      found[#found + 1] = {entries({id})[1], event.lease, record}
    end
  end
  local next = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  return {found, next[2] and math.max(0, math.ceil(next[2] - now)) or -1}
end
function calls.set(lease, pause, state, note)
  local id, event = leased(lease)
  if not event then return 'absent' end
  if not pause then return leave(id, event) end
  event.lease = ''
  become(id, event, state, note or event.note)
  save(id, event, now + pause)
  return 'set'
end
calls['end'] = function(id, age)
  local event = load(id)
  return event and event.stored < now - age and leave(id, event) or 'absent'
end
function calls.drop(id)
  local event = load(id)
  if not event then return 'absent' end
  if not isFree(id, event) then return 'leased' end
  redis.call('RPUSH', dropped, id .. ' ' .. event.note)
  return leave(id, event)
end
function calls.wake(...)
  local known = 0
  for _, id in ipairs({...}) do
    local event = load(id)
    known = known + (event and 1 or 0)
    if event and isFree(id, event) then
      if event.state == 'stopped' then become(id, event, 'waiting', event.note) end
      save(id, event, now)
    end
  end
  return known
end
function calls.page(place)
  local part, ids = redis.call('ZSCAN', due, place, 'COUNT', ${PAGE}), {}
  for at = 1, #part[2], 2 do ids[#ids + 1] = part[2][at] end
  return {part[1], entries(ids)}
end
-- Of what is due later than anything that waits may be, it looks at one part, at random.
function calls.summary()
  local late = now + ${contract.LONGEST_WAIT_MS}
  local part = math.floor(time[2] % math.max(1, redis.call('ZCOUNT', due, late, '+inf')) / ${PAGE})
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, late, '+inf', 'LIMIT', part * ${PAGE}, ${PAGE})) do
    local event = load(id)
    if event and event.state == 'waiting' then moveTo(id, now) end
  end
  local groups = {}
  for _, group in ipairs(redis.call('HKEYS', totals)) do
    local first = redis.call('ZRANGE', sums .. group, 0, 0, 'WITHSCORES')
    if first[2] then groups[#groups + 1] = {group, redis.call('ZCARD', sums .. group), number(totals, group), tonumber(first[2])} end
  end
  local told = redis.call('LRANGE', dropped, 0, ${PAGE - 1})
  redis.call('LTRIM', dropped, #told, -1)
  return {groups, entries(redis.call('ZRANGE', due, 0, ${contract.SOONEST - 1})), told}
end
function calls.read(id, most)
  local isSmall = load(id) and redis.call('HSTRLEN', events .. id, 'record') <= tonumber(most)
  return isSmall and redis.call('HGET', events .. id, 'record') or ''
end
local name = table.remove(ARGV, 1)
local isDraining = not string.find('look add page read', name)
-- A full server refuses a script whose first write could need memory: nothing could leave it any more.
if isDraining then redis.call('HDEL', totals, '') end
return calls[name](unpack(ARGV))
`;
