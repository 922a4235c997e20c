// The Lua script of the queue of deferred deliveries, which the server runs for each call: the calls. redis-events.ts has
// what they share, and names the keys.
import { EVENTS } from './redis-events.ts';
import * as store from './store.ts';

/** The maximum number of events that one call looks at, which blocks the server for a few milliseconds. */
const PAGE = 250;
/** The number of events whose records a summary looks for. */
const SWEEP = 1000;
const ENDED_FOR_MS = 60_000;

/**
 * The script's arguments are the name of a call below, the caller's own name (empty for a visitor), `life` and the caller's
 * share of what is there as its last answer had them, and that call's arguments. It returns the answer, and both anew.
 */
export const SCRIPT = `${EVENTS}
local calls = {}
local function listed(found)
  local all = {}
  for _, id in ipairs(found) do
    local event = load(id)
    if event then all[#all + 1] = {id, event.bytes, event.state, event.note, dueAt(id) - now, event.asked} end
  end
  return all
end
local function lend(id, event, token, record)
  event.lease = id .. ' ' .. token
  put(id, event, now + ${store.LEASE_MS})
  return {listed({id})[1], event.lease, record}
end
-- Remembers the end of a lease. \`set\` also for a call that ended it before, whose answer was lost.
local function rememberEnd(lease, event)
  if not event then return call('ZSCORE', ended, lease) and 'set' or 'absent' end
  forget(ended, now - ${ENDED_FOR_MS})
  call('ZADD', ended, now, lease)
  return 'set'
end

function calls.look()
  local set = try('SET', records, '', 'PX', 1)
  if set.err and not string.find(set.err, 'OOM') then error(set, 0) end
  for _, list in ipairs({dropped, lost}) do call('LRANGE', list, 0, 0) end -- fails where somebody else has that key
  call('ZCARD', ended)
  checkSums()
  return {set.err or '', string.match(call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''}
end
function calls.remember(why, events)
  remember('', '', why, events)
  return 'done'
end
-- The caller stops: its share is that of the next proxy.
function calls.leave()
  call('ZREM', proxies, me)
  me = ''
  return 'done'
end
-- Its first write is the one that a full server refuses.
function calls.add(id, most, pause, note, head, body)
  local old = load(id)
  local event = known({bytes = #head + #body, note = note, stored = now, by = me})
  local bytes = number(totals, 'bytes') - (old and counted(old) or 0) + counted(event)
  if bytes > tonumber(most) then return 'full' end
  local twins = number(bodies, string.sub(id, 1, 16))
  if not old and twins >= ${store.MAX_OF_ONE_BODY} then return 'crowded' end
  local set = try('SET', records .. id, head .. body)
  if set.err then return set.err end
  if old then discount(id, old) end
  call('HSETNX', totals, 'life', now .. '.' .. id)
  event.life = call('HGET', totals, 'life')
  save(id, event, now + pause)
  return old and 'replaced' or 'stored'
end
function calls.lease(limit, room, most, token, ...)
  local held, found = {}, {}
  for _, lease in ipairs({...}) do
    local id, event = leased(lease)
    if event then moveTo(id, now + ${store.LEASE_MS}) end
    held[id] = true
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ${PAGE})) do
    if #found >= tonumber(limit) then break end
    local event = load(id)
    if event and not held[id] then
      local bytes = size(id)
      local isRead = bytes <= tonumber(most)
      if isRead and bytes > tonumber(room) then break end
      room = room - (isRead and bytes or 0)
      local record = isRead and (bytes > 0 and call('GET', records .. id) or '')
      found[#found + 1] = lend(id, event, token .. #found, record)
    end
  end
  local next = call('ZRANGE', due, 0, 0, 'WITHSCORES')
  return {found, next[2] and math.max(0, math.ceil(next[2] - now)) or -1}
end
-- Without a state, \`pause\` says why the event is lost; it is empty for another end.
function calls.set(lease, pause, state, asked, note)
  local id, event = leased(lease)
  if event and not state then
    leave(id, event)
    if pause ~= '' then remember(id, event.note, pause, 1) end
  elseif event then
    event.lease, event.asked, event.state, event.note = '', asked, state, note or event.note
    save(id, event, now + pause)
  end
  return rememberEnd(lease, event)
end
function calls.leaseToLose(id, bytes, most, token)
  local old = load(id)
  local mine = old and counted(old) or 0
  local excess = number(totals, 'bytes') - mine + math.max(bytes, ${store.LEAST_BYTES}) - most
  local kept, oldest, found = old and old.state ~= 'waiting' and -mine or 0, {}, {}
  for _, group in ipairs(groups()) do
    if string.find(group, '^waiting') == nil then
      kept = kept + number(totals, group)
      local ids = call('ZRANGE', sums .. group, 0, ${PAGE - 1}, 'WITHSCORES')
      for at = 1, #ids, 2 do oldest[#oldest + 1] = {ids[at], tonumber(ids[at + 1])} end
    end
  end
  if excess > kept then return found end
  table.sort(oldest, function(one, other) return one[2] < other[2] end)
  for _, each in ipairs(oldest) do
    local event = each[1] ~= id and load(each[1])
    if excess <= 0 or #found >= ${PAGE} then break end
    if event and isFree(each[1], event) then
      excess = excess - counted(event)
      found[#found + 1] = lend(each[1], event, token .. #found, false)
    end
  end
  return found
end
calls['end'] = function(id, age)
  local event = load(id)
  return event and event.stored < now - age and leave(id, event) or 'absent'
end
function calls.drop(id)
  local event = load(id)
  if not event then return 'absent' end
  if not isFree(id, event) then return 'leased' end
  call('RPUSH', dropped, id .. ' ' .. event.note)
  return leave(id, event)
end
function calls.wake(by, ...)
  local amount = 0
  for _, id in ipairs({...}) do
    local event = load(id)
    amount = amount + (event and 1 or 0)
    if event and isFree(id, event) then
      event.asked = by == 'person' and by or event.asked
      put(id, event, now)
    end
  end
  return amount
end
-- A place is the time at which the last one came, and its id.
function calls.page(place)
  local ids, score, after = {}, string.match(place, '^(%S+) (%S+)$')
  for _, id in ipairs(score and call('ZRANGEBYSCORE', came, score, score) or {}) do
    if id > after and #ids < ${PAGE} then ids[#ids + 1] = id end
  end
  local from = score and '(' .. score or '-inf'
  for _, id in ipairs(call('ZRANGEBYSCORE', came, from, '+inf', 'LIMIT', 0, ${PAGE} - #ids)) do ids[#ids + 1] = id end
  local final = ids[${PAGE}]
  return {final and call('ZSCORE', came, final) .. ' ' .. final or '0', listed(ids)}
end
function calls.find(id) return listed({id}) end
function calls.losses(most)
  local all = call('LRANGE', lost, -most, -1)
  while all[1] and tonumber(string.match(all[1], '%d+')) < now - ${store.LOSSES_FOR_MS} do table.remove(all, 1) end
  return all
end
-- Of what is due later than anything that waits may be, it looks at one part, at random. An event whose record the
-- server has lost is due first, so that its turn finds that out.
function calls.summary()
  checkSums()
  local late = now + ${store.LONGEST_WAIT_MS}
  local part = math.floor(now % math.max(1, call('ZCOUNT', due, late, '+inf')) / ${PAGE})
  for _, id in ipairs(call('ZRANGEBYSCORE', due, late, '+inf', 'LIMIT', part * ${PAGE}, ${PAGE})) do
    local event = load(id)
    if event and event.state == 'waiting' then moveTo(id, now) end
  end
  local swept = call('HSCAN', entries, call('HGET', totals, 'swept') or 0, 'COUNT', ${SWEEP})
  if swept[1] ~= '0' then call('HSET', totals, 'swept', swept[1]) else call('HDEL', totals, 'swept') end
  for at = 1, #swept[2], 2 do
    local id = swept[2][at]
    if call('EXISTS', records .. id) == 0 and isFree(id, load(id)) then moveTo(id, 0) end
  end
  local all = {}
  for _, group in ipairs(groups()) do
    local first = call('ZRANGE', sums .. group, 0, 0, 'WITHSCORES')
    if first[2] then all[#all + 1] = {group, call('ZCARD', sums .. group), number(totals, group), tonumber(first[2])} end
  end
  local told = call('LRANGE', dropped, 0, ${store.MOST_DROPPED - 1})
  call('LTRIM', dropped, #told, -1)
  local lately = 0
  for _, loss in ipairs(call('LRANGE', lost, 0, -1)) do
    local at, events = string.match(loss, '^%[(%d+).-(%d*)%]$')
    if tonumber(at or 0) > now - ${store.LATELY_MS} then lately = lately + (tonumber(events) or 1) end
  end
  local soonest = call('ZRANGE', due, 0, ${store.SOONEST - 1})
  return {all, listed(soonest), told, calls.losses(${store.SHOWN_LOSSES}), lately}
end
function calls.read(id, most)
  local bytes = load(id) and size(id) or 0
  return bytes > 0 and bytes <= tonumber(most) and call('GET', records .. id) or ''
end
-- Runs with keys of its own, all in one step, so nobody else sees its event. It sends every command that others send.
function calls.test(id, note)
  local function went(isRight, step)
    if not isRight then error('its test event was not ' .. step, 0) end
  end
  local function clear()
    for _, group in ipairs(groups()) do call('UNLINK', sums .. group) end
    call('UNLINK', records .. id, unpack(KEYS))
  end
  clear()
  calls.look()
  went(calls.add(id, ${4 * store.LEAST_BYTES}, 0, note, 'a', 'b') == 'stored', 'stored')
  local taken = calls.lease(1, 2, 2, 'test')[1][1]
  went(taken and taken[1][1] == id and taken[3] == 'ab', 'leased')
  calls.lease(0, 0, 0, 'test', taken[2])
  went(dueAt(id) > now, 'renewed')
  went(calls.page('0')[2][1][1] == id and calls.page('0 0')[2] and calls.summary()[1][1], 'listed')
  went(calls.set(taken[2], 0, 'expired', '', note) == 'set' and calls.find(id)[1][3] == 'expired', 'set')
  local losable = calls.leaseToLose('', 1, ${store.LEAST_BYTES}, 'test')[1]
  went(losable and calls.set(losable[2], 'room') == 'set' and #calls.losses(9) == 1, 'lost')
  call('ZREM', ended, taken[2])
  calls.add(id, ${4 * store.LEAST_BYTES}, 0, note, 'a', 'b')
  went(calls.wake('person', id) == 1 and calls.read(id, 2) == 'ab' and calls.drop(id) == 'dropped', 'dropped')
  calls.add(id, ${4 * store.LEAST_BYTES}, 0, note, 'a', 'b')
  went(calls['end'](id, -1) == 'dropped' and not load(id), 'ended')
  clear()
  return 'done'
end

local isDone, answer, before, mine, unnamed = pcall(function()
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  -- A full server refuses a script whose first write could need memory: nothing could leave it any more.
  if name ~= 'add' and name ~= 'look' then call('HDEL', totals, '') end
  check()
  local before = number(totals, 'of:' .. me)
  return calls[name](unpack(ARGV, 5)), before, share()
end)
if isDone then return {answer, call('HGET', totals, 'life') or '', before, mine, unnamed} end
local text = type(answer) == 'table' and answer.err or tostring(answer)
return redis.error_reply(text .. (last and ' (' .. last .. ')' or ''))
`;
