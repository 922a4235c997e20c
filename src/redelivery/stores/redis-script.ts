// The Lua script of the queue of deferred deliveries, which the server runs for each call. The keys:
//
//   due         sorted set: `PROXY ID` (who stored it) by the time at which it is due, in the server's milliseconds
//   entries     hash: what is known of each event, as JSON: size, state, note, lease, when stored and due, its texts in `index`
//   record:ID   string: the event's record
//   index       sorted set in the order of its texts, of each event `by PROXY ID` (who stored it), `came TIME ID`, `id ID`,
//               `kept TIME ID` unless it waits or is asked for, and GROUP TIME ID; GROUP is state, line feed, JSON of failure, secret, key
//               and route, line feed
//   totals      hash: bytes of all events, of those that may give way and of each group; `there`, the number of events; and `life`,
//               another text each time that all events were lost and one came
//   dropped     list: the events that an operator dropped, until a summary reports them
//   lost        list: the last losses
//   ended       sorted set: leases that a call has ended, by when, for a minute
//   proxies     sorted set: the proxies by when they last called; and '', by when the key was made
//
// No key has a time to live, so only a server that evicts keys without one may take any of ours, but never while a script
// runs: a key is as the last call left it, or gone. So each call first puts together what is left. Ids are lost only with
// all of `due`, `entries` and `index`, so then all are. Only the proxies know how many: each knows its share, by its last
// call, and tells that alone: with one number for all, losses were told twice, or never.
import * as store from './store.ts';

const NAMES = ['due', 'entries', 'record:', 'index', 'totals', 'dropped', 'lost', 'ended', 'proxies'];
/** The second half is for the test event alone: what it does to them, nobody else sees. */
export const KEYS = [...NAMES, ...NAMES.map((name) => `test:${name}`)];

/** The maximum number of events that one call looks at, which blocks the server for a few milliseconds. */
const PAGE = 250;
/** The number of events that a summary looks at. */
const SWEEP = 500;
const ENDED_FOR_MS = 60_000;

/**
 * The script's arguments are the name of a call below, the caller's own name (empty for a visitor), and that call's
 * arguments. It returns the answer, and `life`, the time, the caller's share and when it was heard before.
 */
export const SCRIPT = `local due, entries, records, index, totals, dropped, lost, ended, proxies
local function useKeys(from)
  due, entries, records, index, totals, dropped, lost, ended, proxies = unpack(KEYS, from)
end
local name, me, calls = ARGV[1], ARGV[2], {}
local now, last, refused
local function try(name, ...)
  last = name .. ' ' .. (... or '')
  return redis.pcall(name, ...)
end
local function call(name, ...)
  local answer = try(name, ...)
  if type(answer) == 'table' and answer.err then error(answer, 0) end
  return answer
end

-- Whatever somebody wrote over an event, it is read as one that can be written: so none fails alone in a call with others,
-- and what fails is the store (memory, rights, a key's type, a sum that is none).
local FIELDS = {bytes = 0, stored = 0, due = 0, state = 'waiting', note = '', lease = '', asked = '', life = '', group = '', came = '', by = ''}
local function sound(given)
  local event = {}
  for field, none in pairs(FIELDS) do
    local value = given[field]
    local isSound = type(value) == type(none) and (none ~= 0 or value >= 0 and value < 1e15 and value % 1 == 0)
    event[field] = isSound and value or none
  end
  return event
end
local function load(id)
  local text = call('HGET', entries, id)
  if not text then return nil end
  local isRead, event = pcall(cjson.decode, text)
  return sound(isRead and type(event) == 'table' and event or {})
end
local function idOf(text) return string.sub(text, -${store.ID_LENGTH}) end
local function put(id, event, ms)
  event.due = ms
  call('HSET', entries, id, cjson.encode(event))
  call('ZADD', due, ms, event.by .. ' ' .. id)
end
-- 0 also where somebody else has that key.
local function size(id)
  local bytes = try('STRLEN', records .. id)
  if type(bytes) == 'number' then return bytes end
  return string.find(bytes.err, 'WRONGTYPE') and 0 or error(bytes, 0)
end
local function isFree(event) return event.lease == '' or event.due <= now end
local function number(field) return tonumber(call('HGET', totals, field) or 0) end
local function grow(field, by)
  if call('HINCRBY', totals, field, by) < 1 then call('HDEL', totals, field) end
end
local function counted(event) return math.max(event.bytes, ${store.LEAST_BYTES}) end
local function keep(id, event, isKept)
  local text = 'kept ' .. event.came .. id
  local count = isKept and call('ZADD', index, 0, text) or -call('ZREM', index, text)
  grow('kept', count * counted(event))
end
local function sum(id, event, sign)
  local at = event.came .. id
  for _, field in ipairs({'bytes', event.group}) do grow(field, sign * counted(event)) end
  grow('there', sign)
  if sign < 0 then keep(id, event, false) end
  for _, text in ipairs({'by ' .. event.by .. ' ' .. id, 'came ' .. at, 'id ' .. id, event.group .. at}) do
    if sign > 0 then call('ZADD', index, 0, text) else call('ZREM', index, text) end
  end
end
local function save(id, event, ms)
  local isNote, words, at = pcall(function()
    local note = cjson.decode(event.note)
    return cjson.encode({note.failure, note.secret, note.key, note.route}), note.came + 0
  end)
  local group = event.state .. '\\n' .. (isNote and words or '{}') .. '\\n'
  local isOneMore = number(group) == 0 and call('HLEN', totals) >= ${store.MOST_GROUPS}
  group = isOneMore and event.state .. '\\n{}\\n' or group
  local came = string.format('%016.0f', isNote and math.max(0, math.min(at, 8.64e15)) or 0)
  if group ~= event.group or came ~= event.came then
    if event.group ~= '' then sum(id, event, -1) end
    event.group, event.came = group, came
    sum(id, event, 1)
  end
  keep(id, event, event.state ~= 'waiting' and event.asked == '')
  put(id, event, ms)
end
local function timeOf(text) return tonumber(string.sub(text, -${store.ID_LENGTH + 16}, -${store.ID_LENGTH + 1})) end
-- The first texts of the index that begin with a prefix, after the one that goes on with the cursor.
local function textsOf(prefix, cursor, most)
  return call('ZRANGEBYLEX', index, '(' .. prefix .. cursor, '(' .. prefix .. '\\255', 'LIMIT', 0, most)
end

-- Puts together what is left, and counts again. A record has a note of its own.
local function restore()
  local life, by, dueAts = call('HGET', totals, 'life'), {}, {}
  for _, text in ipairs(call('ZRANGE', index, 0, -1)) do
    local id, state, words = idOf(text), string.match(text, '^(%l+)\\n(.*)\\n')
    by[id] = by[id] or string.match(text, '^by (%S*) ')
    if state then
      local note, said = {method = '', path = '', attempts = 0, passed = 0, tried = 0}, cjson.decode(words)
      note.came, note.failure, note.secret, note.key, note.route = timeOf(text), unpack(said)
      call('HSETNX', entries, id, cjson.encode({state = state, note = cjson.encode(note)}))
    end
  end
  local all = call('ZRANGE', due, 0, -1, 'WITHSCORES')
  for at = 1, #all, 2 do
    local id = idOf(all[at])
    by[id], dueAts[id] = string.match(all[at], '^%S*'), tonumber(all[at + 1])
    call('HSETNX', entries, id, '{}')
  end
  call('UNLINK', totals, index, due)
  for _, id in ipairs(call('HKEYS', entries)) do
    local event = load(id)
    event.bytes = event.bytes > 0 and event.bytes or size(id)
    event.by, event.group = event.by ~= '' and event.by or by[id] or '', ''
    call('HSETNX', totals, 'life', event.life ~= '' and event.life or life or now)
    save(id, event, dueAts[id] or event.due > 0 and event.due or now)
  end
end
local function takeOut(id, event)
  if event.group == '' then -- somebody has written over what is known of it
    restore()
    event = load(id)
  end
  sum(id, event, -1)
  call('ZREM', due, event.by .. ' ' .. id)
end
local function leave(id, event)
  takeOut(id, event)
  call('HDEL', entries, id)
  call('UNLINK', records .. id)
end
local function check()
  local events = call('HLEN', entries)
  local isWhole = number('there') == events and call('ZCARD', due) == events
  if not isWhole or (call('ZCARD', index) > 0) ~= (events > 0) then restore() end
end
local function storedBy(proxy) return call('ZLEXCOUNT', index, '[by ' .. proxy .. ' ', '(by ' .. proxy .. '!') end
-- How many events the caller has stored, and when the server last heard of it, at least since when it knows proxies: earlier
-- than the caller knows where it has gone back to a copy of itself. Those of proxies that are gone are in the share of the
-- first proxy; where the server has lost \`proxies\`, or was away, none counts as gone before each could call.
local function share()
  if me == '' then return 0, 0 end
  local others, isFirst, heard = 0, true, tonumber(try('ZSCORE', proxies, me))
  local gone = math.min(now, call('ZRANGE', proxies, -1, -1, 'WITHSCORES')[2] or now) - ${store.LEASE_MS}
  heard = heard or -(tonumber(try('ZSCORE', proxies, '')) or 0)
  try('ZADD', proxies, 'NX', -now, '')
  try('ZADD', proxies, now, me)
  call('ZREMRANGEBYSCORE', proxies, 1, now - ${store.LATELY_MS})
  for _, other in ipairs(call('ZRANGEBYSCORE', proxies, gone, '+inf')) do
    if other ~= me then others = others + storedBy(other) end
    isFirst = isFirst and me <= other
  end
  local isKnown = isFirst and -(call('ZSCORE', proxies, '') or -now) < gone
  return isKnown and number('there') - others or storedBy(me), heard
end

local function entryOf(id, event) return {id, event.bytes, event.state, event.note, event.due - now, event.asked, isFree(event) and '' or 'leased'} end
local function listed(texts)
  local all = {}
  for _, text in ipairs(texts) do
    local event = load(idOf(text))
    if event then all[#all + 1] = entryOf(idOf(text), event) end
  end
  return all
end
local function lend(id, event, token, record)
  event.lease, event.asked = id .. ' ' .. token, event.asked ~= '' and 'leased' or ''
  put(id, event, now + ${store.LEASE_MS})
  return {entryOf(id, event), event.lease, record}
end
local function remember(id, note, why, events)
  call('RPUSH', lost, cjson.encode({now, id, note, why, tonumber(events) or cjson.null}))
  call('LTRIM', lost, -${store.MOST_LOSSES}, -1)
end

function calls.remember(why, events)
  remember('', '', why, events)
  return 'done'
end
-- Its first write is the one that a full server refuses. Returns bytes where only those of kept events are too many.
function calls.add(id, most, pause, note, head, body)
  local old = load(id)
  local event = sound({bytes = #head + #body, note = note, stored = now, by = me})
  local excess = number('bytes') - (old and counted(old) or 0) + counted(event) - most
  if excess > 0 then
    local kept = number('kept') - (old and call('ZSCORE', index, 'kept ' .. old.came .. id) and counted(old) or 0)
    return excess <= kept and excess or 'full'
  end
  local alike = 'id ' .. string.sub(id, 1, 16)
  alike = call('ZLEXCOUNT', index, '[' .. alike .. '-', '(' .. alike .. '.')
  if not old and alike >= ${store.MAX_OF_ONE_BODY} then return 'crowded' end
  local set = try('SET', records .. id, head .. body)
  if set.err then return set.err end
  if old then takeOut(id, old) end
  call('HSETNX', totals, 'life', now .. '.' .. id)
  event.life = call('HGET', totals, 'life')
  save(id, event, now + pause)
  return old and 'replaced' or 'stored'
end
function calls.lease(limit, room, most, token, ...)
  local own, leased = {}, {}
  for _, lease in ipairs({...}) do
    local id = string.sub(lease, 1, ${store.ID_LENGTH})
    own[id] = lease
    local event = limit == '0' and load(id)
    if event and event.lease == lease then put(id, event, now + ${store.LEASE_MS}) end
  end
  for _, text in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ${PAGE})) do
    if #leased >= tonumber(limit) then break end
    local id = idOf(text)
    local event = load(id)
    if event and own[id] == event.lease then put(id, event, now + ${store.LEASE_MS}) end -- the caller stood still
    if event and not own[id] then
      local bytes = size(id)
      local isRead = bytes <= tonumber(most)
      if isRead and bytes > tonumber(room) then break end
      room = room - (isRead and bytes or 0)
      local record = isRead and (bytes > 0 and call('GET', records .. id) or '')
      leased[#leased + 1] = lend(id, event, token .. #leased, record)
    end
  end
  local next = call('ZRANGE', due, 0, 0, 'WITHSCORES')
  return {leased, next[2] and math.max(0, math.ceil(next[2] - now)) or -1}
end
local function make(change)
  local id, lease, to = change.id, change.lease, change.to
  local event = load(id)
  local isAllowed = event and isFree(event)
  local isLoss = type(to) == 'string' and to ~= 'dropped' and to ~= 'taken'
  if event and type(to) == 'table' and to.asked then -- leased or not
    event.asked = 'now'
    save(id, event, event.due)
  end
  local isAsked = event and event.asked == 'now'
  if lease then isAllowed = event and event.lease ~= '' and event.lease == lease and not (isLoss and isAsked) end
  if change.age then isAllowed = event and event.stored < now - change.age end
  if not isAllowed then return lease and call('ZSCORE', ended, lease) and 'done' or event and 'leased' or 'absent' end
  if lease then call('ZADD', ended, now, lease) end
  if to == 'dropped' then call('RPUSH', dropped, id .. ' ' .. event.note) end
  if type(to) == 'table' then
    event.lease, event.asked = '', isAsked and 'now' or to.asked == false and '' or event.asked
    event.state, event.note = to.state or event.state, to.note or event.note
    save(id, event, isAsked and now or now + to.pause)
    return 'done'
  end
  if isLoss then remember(id, event.note, to, 1) end
  leave(id, event)
  return 'done'
end
function calls.change(changes)
  local all = {}
  call('ZREMRANGEBYSCORE', ended, 0, now - ${ENDED_FOR_MS})
  for _, change in ipairs(cjson.decode(changes)) do all[#all + 1] = make(change) end
  return all
end
function calls.leaseKept(id, bytes, token, cursor)
  local leased, remaining, texts = {}, tonumber(bytes), textsOf('kept ', cursor, ${PAGE})
  for _, text in ipairs(texts) do
    local each = idOf(text)
    local event = remaining > 0 and each ~= id and load(each)
    if event and isFree(event) and event.asked == '' then
      remaining = remaining - counted(event)
      leased[#leased + 1] = lend(each, event, token .. #leased, false)
    end
  end
  return {string.sub(texts[${PAGE}] or '', ${'kept '.length + 1}), leased}
end
function calls.page(cursor)
  local texts = textsOf('came ', cursor, ${PAGE})
  return {string.sub(texts[${PAGE}] or '', ${'came '.length + 1}), listed(texts)}
end
function calls.find(id, most)
  local event = load(id)
  local bytes = event and size(id) or 0
  return {event and {entryOf(id, event), '', bytes <= tonumber(most) and (bytes > 0 and call('GET', records .. id) or '')}}
end
function calls.losses(most)
  local all = call('LRANGE', lost, -most, -1)
  while all[1] and tonumber(string.match(all[1], '%d+')) < now - ${store.LOSSES_FOR_MS} do table.remove(all, 1) end
  return all
end
-- It looks at another part of the events each time: one that waits for longer than any may is due now, and one whose
-- record the server has lost is due first, so that whoever leases it finds that out.
function calls.summary()
  local swept = call('HSCAN', entries, call('HGET', totals, 'swept') or 0, 'COUNT', ${SWEEP})
  if swept[1] ~= '0' then call('HSET', totals, 'swept', swept[1]) else call('HDEL', totals, 'swept') end
  for at = 1, #swept[2], 2 do
    local id = swept[2][at]
    local event = load(id)
    local isLate = event.state == 'waiting' and event.due > now + ${store.LONGEST_WAIT_MS}
    if isLate then put(id, event, now) end
    if call('EXISTS', records .. id) == 0 and isFree(event) then put(id, event, 0) end
  end
  local groups = {}
  for _, group in ipairs(call('HKEYS', totals)) do
    local first = string.find(group, '\\n') and textsOf(group, '', 1)[1]
    if first then
      local events = call('ZLEXCOUNT', index, '(' .. group, '(' .. group .. '\\255')
      groups[#groups + 1] = {group, events, number(group), timeOf(first)}
    end
  end
  local told = call('LRANGE', dropped, 0, ${store.MOST_DROPPED - 1})
  call('LTRIM', dropped, #told, -1)
  local lately = 0
  for _, loss in ipairs(call('LRANGE', lost, 0, -1)) do
    local at, events = string.match(loss, '^%[(%d+).-(%d*)%]$')
    if tonumber(at or 0) > now - ${store.LATELY_MS} then lately = lately + (tonumber(events) or 1) end
  end
  local soonest = listed(call('ZRANGE', due, 0, ${store.SOONEST - 1}))
  return {groups, soonest, told, calls.losses(${store.SHOWN_LOSSES}), lately}
end
-- Sends every command that others send, to keys of its own, all in one step, so nobody else sees its event. Returns why
-- its first write was refused, as it is by a full server, and the server's policy of eviction.
function calls.test(id, note)
  for _, list in ipairs({dropped, lost}) do call('LRANGE', list, 0, 0) end -- fails where somebody else has that key
  for _, set in ipairs({ended, proxies}) do call('ZCARD', set) end
  useKeys(${NAMES.length + 1})
  local function clear() call('UNLINK', records .. id, unpack(KEYS, ${NAMES.length + 1})) end
  local function add() return calls.add(id, ${4 * store.LEAST_BYTES}, 0, note, 'a', 'b') == 'stored' end
  local function change(to, lease, age)
    return calls.change(cjson.encode({{id = id, to = to, lease = lease, age = age}}))[1] == 'done'
  end
  clear()
  local isStored = add()
  local taken = calls.lease(1, 2, 2, 'test')[1][1]
  calls.lease('0', 0, 0, 'test', taken[2])
  local isListed = calls.page('')[2][1][1] == id and calls.summary()[1][1] and load(id).due > now
  local isSet = change({pause = 0, state = 'expired', note = note}, taken[2]) and calls.find(id, 2)[1][3] == 'ab'
  local kept = calls.leaseKept('', 1, 'test', '')[2][1][2]
  local isLost = change('room', kept) and change('room', kept) and #calls.losses(9) == 1
  local isDropped = add() and change('dropped')
  local isEnded = add() and change('taken', nil, -1) and not load(id)
  if not (isStored and taken[3] == 'ab' and isListed and isSet and isLost and isDropped and isEnded) then
    error('its test event did not go all the way', 0)
  end
  clear()
  useKeys(1)
  return {refused or '', string.match(call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''}
end

local isDone, answer = pcall(function()
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  useKeys(1)
  refused = name == 'test' and try('SET', records, '', 'PX', 1).err
  if refused and not string.find(refused, 'OOM') then error(refused, 0) end
  -- A full server refuses a script whose first write could need memory: nothing could leave it any more.
  if name ~= 'add' then call('HDEL', totals, '') end
  check()
  local answer = calls[name](unpack(ARGV, 3))
  return {answer, call('HGET', totals, 'life') or '', now, share()}
end)
if isDone then return answer end
local text = type(answer) == 'table' and answer.err or tostring(answer)
return redis.error_reply(text .. (last and ' (' .. last .. ')' or ''))
`;
