// The part of the queue's Lua script that knows the events: it reads and writes them, and keeps their sums right whatever
// the server evicts. redis-script.ts has the calls. The keys:
//
//   due         sorted set: ids by the time at which they are due, in the server's milliseconds
//   entries     hash: what is known of each event, as JSON: its size, state, note, lease, time of storing and group
//   record:ID   string: the event's record
//   came        sorted set: ids by when they came
//   sums:GROUP  sorted set: the same, for one group; GROUP is state, line feed, JSON of failure, secret, key and route
//   bodies      hash: the number of events with one body, by the first 16 digits of their ids
//   totals      hash: bytes of all events and of each group; `there`, the number of events, and `of:PROXY`, of those that
//               one has stored; `life`, another text each time that all events were lost and one came
//   dropped     list: the events that an operator dropped, until a summary reports them
//   lost        list: the last losses
//   ended       sorted set: leases that a call has ended, by when, for a minute
//   proxies     sorted set: the proxies by when they last called; and '', by when the key was made
//
// No key has a time to live, so a server that evicts only keys that have one never evicts ours. A server that evicts
// others may take any of them, but never while a script runs: a key is as the last call left it, or gone. So each call
// first puts together what is left. Ids are lost only with all of `due`, `entries` and `came`, so then all are. Only the
// proxies know how many: each knows its share, by its last call, so that none tells what another one tells.
import * as store from './store.ts';

export const KEYS = [
  'due',
  'entries',
  'record:',
  'came',
  'sums:',
  'bodies',
  'totals',
  'dropped',
  'lost',
  'ended',
  'proxies',
];
/** Keys for the test event alone: what it does to them, nobody else sees. */
export const TEST_KEYS = KEYS.map((name) => `test:${name}`);

/** Lua; its locals are those of the whole script. */
export const EVENTS = `local due, entries, records, came, sums, bodies, totals, dropped, lost, ended, proxies = unpack(KEYS)
local name, me, knownLife, knownShare = unpack(ARGV, 1, 4)
local now, last
local function try(name, ...)
  last = name .. ' ' .. (... or '')
  return redis.pcall(name, ...)
end
local function call(name, ...)
  local answer = try(name, ...)
  if type(answer) == 'table' and answer.err then error(answer, 0) end
  return answer
end
local FIELDS = {bytes = 0, stored = 0, state = 'waiting', note = '', lease = '', group = '', asked = '', life = '', by = ''}
local function known(event)
  for field, none in pairs(FIELDS) do
    if type(event[field]) ~= type(none) then event[field] = none end
  end
  return event
end
local function load(id)
  local text = call('HGET', entries, id)
  if not text then return nil end
  local isRead, event = pcall(cjson.decode, text)
  return known(isRead and type(event) == 'table' and event or {})
end
local function leased(lease)
  local id = string.sub(lease, 1, ${store.ID_LENGTH})
  local event = load(id)
  return id, event and event.lease ~= '' and event.lease == lease and event or nil
end
local function dueAt(id) return tonumber(call('ZSCORE', due, id) or 0) end
local function moveTo(id, ms) call('ZADD', due, ms, id) end
local function put(id, event, ms)
  call('HSET', entries, id, cjson.encode(event))
  moveTo(id, ms)
end
-- 0 also where somebody else has that key.
local function size(id)
  local bytes = try('STRLEN', records .. id)
  if type(bytes) == 'number' then return bytes end
  return string.find(bytes.err, 'WRONGTYPE') and 0 or error(bytes, 0)
end
local function isFree(id, event) return event.lease == '' or dueAt(id) <= now end
local function number(hash, field) return tonumber(call('HGET', hash, field) or 0) end
local function grow(hash, field, by)
  if call('HINCRBY', hash, field, by) < 1 then call('HDEL', hash, field) end
end
local function counted(event) return math.max(event.bytes, ${store.LEAST_BYTES}) end
local function sum(id, event, sign)
  grow(totals, 'there', sign)
  grow(totals, 'of:' .. event.by, sign)
  grow(totals, 'bytes', sign * counted(event))
  grow(totals, event.group, sign * counted(event))
  grow(bodies, string.sub(id, 1, 16), sign)
end
local function discount(id, event)
  if event.group == '' then return end
  sum(id, event, -1)
  call('ZREM', sums .. event.group, id)
end
local function save(id, event, ms)
  discount(id, event)
  local isNote, words, at = pcall(function()
    local note = cjson.decode(event.note)
    return cjson.encode({note.failure, note.secret, note.key, note.route}), note.at + 0
  end)
  local group = event.state .. '\\n' .. (isNote and words or '{}')
  local isOneMore = call('HEXISTS', totals, group) == 0 and call('HLEN', totals) >= ${store.MOST_GROUPS}
  event.group = isOneMore and event.state .. '\\n{}' or group
  sum(id, event, 1)
  at = isNote and math.max(0, math.min(at, 8.64e15)) or 0
  call('ZADD', sums .. event.group, at, id)
  call('ZADD', came, at, id)
  put(id, event, ms)
end
local function leave(id, event)
  discount(id, event)
  call('ZREM', due, id)
  call('ZREM', came, id)
  call('HDEL', entries, id)
  call('UNLINK', records .. id)
  return 'dropped'
end
local function groups()
  local found = {}
  for _, field in ipairs(call('HKEYS', totals)) do
    if string.find(field, '\\n') then found[#found + 1] = field end
  end
  return found
end
local function remember(id, note, why, events)
  call('RPUSH', lost, cjson.encode({now, id, note, why, tonumber(events) or cjson.null}))
  call('LTRIM', lost, -${store.MOST_LOSSES}, -1)
end
local function forget(key, before)
  for _, old in ipairs(call('ZRANGEBYSCORE', key, 1, before, 'LIMIT', 0, 9)) do call('ZREM', key, old) end
end
-- Puts together what is left, and counts again. A record has a note of its own.
local function restore()
  local life = call('HGET', totals, 'life')
  for _, group in ipairs(groups()) do call('UNLINK', sums .. group) end
  call('UNLINK', totals, bodies)
  for _, key in ipairs({due, came}) do
    for _, id in ipairs(call('ZRANGE', key, 0, -1)) do
      if call('HEXISTS', entries, id) == 0 then call('HSET', entries, id, cjson.encode({bytes = size(id)})) end
    end
  end
  call('UNLINK', came)
  for _, id in ipairs(call('HKEYS', entries)) do
    local event = load(id)
    call('HSETNX', totals, 'life', event.life ~= '' and event.life or life or now)
    event.group = ''
    save(id, event, call('ZSCORE', due, id) or now)
  end
end
-- What the server has lost may have named the proxies that stored the events: each takes back as many as it knew of.
local function takeBack()
  local lacking = knownShare - number(totals, 'of:' .. me)
  local life = call('HGET', totals, 'life')
  if lacking < 1 or number(totals, 'of:') < 1 or life ~= knownLife and string.find(life, '.', 1, true) then return end
  for _, id in ipairs(call('HKEYS', entries)) do
    local event = load(id)
    if lacking > 0 and event.by == '' then
      sum(id, event, -1)
      event.by = me
      sum(id, event, 1)
      put(id, event, dueAt(id))
      lacking = lacking - 1
    end
  end
end
local function check()
  local events = call('HLEN', entries)
  local isWhole = number(totals, 'there') == events and (call('HLEN', bodies) > 0) == (events > 0)
  for _, key in ipairs({due, came}) do isWhole = call('ZCARD', key) == events and isWhole end
  if not isWhole then restore() end
  takeBack()
  call('ZCARD', proxies) -- fails where somebody else has that key
end
-- How many events the caller has stored. Those of proxies that are gone are in the share of the first proxy; where the
-- server has lost \`proxies\`, none counts as gone before each could call.
local function share()
  if me == '' then return 0, 0 end
  local gone, mine, isFirst = now - ${store.LEASE_MS}, number(totals, 'of:' .. me), true
  try('ZADD', proxies, 'NX', -now, '')
  try('ZADD', proxies, now, me)
  forget(proxies, gone)
  local rest = number(totals, 'there') - mine
  for _, other in ipairs(call('ZRANGEBYSCORE', proxies, gone, '+inf')) do
    if other ~= me then rest = rest - number(totals, 'of:' .. other) end
    isFirst = isFirst and me <= other
  end
  local isKnown = isFirst and -(call('ZSCORE', proxies, '') or -now) < gone
  if isKnown then return mine + rest, 0 end
  return mine, number(totals, 'of:')
end
local function checkSums()
  local events = 0
  for _, group in ipairs(groups()) do events = events + call('ZCARD', sums .. group) end
  if events ~= call('HLEN', entries) then restore() end
end
`;
