// The scripts of the queue of deferred deliveries, which the server runs one by one. `due` is a sorted set of ids by the
// server's milliseconds; `events` a hash of what is known of each, as JSON; `record:ID` a hash (head, body); `dropped` a
// list; `totals` a hash: bytes of all, of each state and each group, how many events have one body (ID's first half), and
// `life`, new whenever everything was lost. `sums` is a sorted set in the order of its texts (group, came, id), so that
// the first one of a group is its oldest. A group is a state and words, each ended by a line feed.
//
// No key has a time to live: what a policy of the server evicts by that is not ours.
import { Buffer } from 'node:buffer';
import { noSense, type Script } from '../../redis/connection.ts';
import { parsedJson, readNote, readWords } from '../note.ts';
import * as contract from './store.ts';

/** Events that one script looks at, so that it blocks the server for a few milliseconds. */
const PAGE = 250;
/** Drops that wait to be told: no proxy may run for long. */
const MOST_DROPPED = 10_000;
const ID_LENGTH = 49;

export const KEYS = ['due', 'events', 'record:', 'sums', 'totals', 'dropped'] as const;

const COMMON = `local due, events, records, sums, totals, dropped = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local unknown = {__index = {bytes = 0, state = 'waiting', words = '', came = '', stored = 0, note = ''}}
local function load(id)
  local text = redis.call('HGET', events, id)
  local isJson, event = pcall(cjson.decode, text or '')
  return text and setmetatable(isJson and type(event) == 'table' and event or {}, unknown)
end
local function moveTo(id, ms) redis.call('ZADD', due, string.format('%.0f', ms), id) end
local function save(id, event, ms)
  redis.call('HSET', events, id, cjson.encode(event))
  moveTo(id, ms)
end
local function isFree(id, event) return not event.turn or tonumber(redis.call('ZSCORE', due, id) or 0) <= now end
local function total(field) return tonumber(redis.call('HGET', totals, field) or 0) end
local function grow(field, by)
  if redis.call('HINCRBY', totals, field, by) < 1 then redis.call('HDEL', totals, field) end
end
local function counted(event) return math.max(event.bytes, ${contract.LEAST_BYTES}) end
local function count(id, event, sign)
  local state = event.state .. '\\n'
  local group = state .. event.words .. '\\n'
  local text = group .. event.came .. '\\n' .. id
  if sign > 0 then redis.call('ZADD', sums, 0, text) else redis.call('ZREM', sums, text) end
  for _, field in ipairs({'bytes', state, group}) do grow(field, sign * counted(event)) end
  grow(string.sub(id, 1, 16), sign)
end
local function become(id, event, state, words)
  count(id, event, -1)
  event.state, event.words = state, words or event.words
  count(id, event, 1)
end
local function isHash(id) return redis.call('TYPE', records .. id).ok == 'hash' end
local function leave(id)
  local event = load(id)
  if event then count(id, event, -1) end
  redis.call('HDEL', events, id)
  redis.call('ZREM', due, id)
  if isHash(id) then redis.call('UNLINK', records .. id) end
end
local function fits(id, most)
  if not isHash(id) or redis.call('HEXISTS', records .. id, 'body') == 0 then return nil, 'unreadable' end
  local head, body = redis.call('HSTRLEN', records .. id, 'head'), redis.call('HSTRLEN', records .. id, 'body')
  if head == 0 then return nil, 'unreadable' end
  if head + body > tonumber(most) then return nil, 'limits' end
  return head + body
end
local function record(id) return redis.call('HMGET', records .. id, 'head', 'body') end
local function entries(found)
  local all = {}
  for _, id in ipairs(found) do
    all[#all + 1] = {id, redis.call('HGET', events, id) or '', math.floor((redis.call('ZSCORE', due, id) or now) - now)}
  end
  return all
end
`;

const own = <Answer>(text: string, read: (given: unknown) => Answer): Script<Answer> => ({ text: COMMON + text, read });

/** A full server refuses a script whose first write could need memory: nothing could leave it any more. */
const draining: typeof own = (text, read) => own(`redis.call('HDEL', totals, '')\n${text}`, read);

/** Why nothing more can be stored, `maxmemory-policy` (empty if the server does not tell), `life`, bytes of all. */
export const LOOK = own(
  `local set = redis.pcall('SET', records, '', 'PX', 1)
if set.err and not string.find(set.err, 'OOM') then return set end
if redis.call('EXISTS', due) == 0 and total('bytes') > 0 then redis.call('UNLINK', events, sums, totals) end
local info = redis.pcall('INFO', 'memory')
local policy = type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''
return {set.err or '', policy, redis.call('HGET', totals, 'life') or '', string.format('%.0f', total('bytes'))}`,
  (given) => listOf(given, 4).map(textOf),
);

/** ID, head, body, maxBytes, pause, event. Its first write is the one that a full server refuses. */
export const ADD = own<contract.Added | { readonly problem: string }>(
  `local id, event, old = ARGV[1], cjson.decode(ARGV[6]), load(ARGV[1])
if total('bytes') - (old and counted(old) or 0) + counted(event) > tonumber(ARGV[4]) then return {'full'} end
if not old and total(string.sub(id, 1, 16)) >= ${contract.MAX_OF_ONE_BODY} then return {'crowded'} end
for _, key in ipairs({due, sums}) do redis.call('ZSCORE', key, id) end
local set = redis.pcall('HSET', records .. id, 'head', ARGV[2], 'body', ARGV[3])
if type(set) == 'table' and set.err then return {'failed', set.err} end
if old then count(id, old, -1) end
redis.call('HSETNX', totals, 'life', time[1] .. '.' .. time[2])
event.stored = now
count(id, event, 1)
save(id, event, now + ARGV[5])
return {old and 'replaced' or 'stored'}`,
  (given) => {
    const [kind, problem] = listOf(given);
    return problem === undefined
      ? wordOf(kind, ['stored', 'replaced', 'full', 'crowded'])
      : { problem: textOf(problem) };
  },
);

/** Limit, room, the most bytes of one event, a token, what is held: ids, each with its turn. */
export const TAKE = draining<Awaited<ReturnType<contract.DeferredStore['take']>>>(
  `local limit, room, skip, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), {}, {}
for at = 5, #ARGV, 2 do
  skip[ARGV[at]] = true
  local event = load(ARGV[at])
  if event and event.turn == ARGV[at + 1] then moveTo(ARGV[at], now + ${contract.LEASE_MS}) end
end
local most = limit + #ARGV - 3
local found = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)
local wait = #found == most and 0 or nil
for _, id in ipairs(found) do
  local event = load(id)
  if not event then leave(id)
  elseif not skip[id] then
    local bytes, why = fits(id, ARGV[3])
    if #taken == limit or (bytes or 0) > room then wait = 0 break end
    room = room - (bytes or 0)
    event.turn = ARGV[4] .. #taken
    save(id, event, now + ${contract.LEASE_MS})
    taken[#taken + 1] = {entries({id})[1], bytes and record(id) or why}
  end
end
if not wait then
  local next = redis.call('ZRANGEBYSCORE', due, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  wait = next[2] and math.ceil(next[2] - now) or -1
end
return {taken, wait}`,
  (given) => {
    const [taken, wait] = listOf(given);
    const known = numberOf(wait);
    return { taken: listOf(taken).map(takenOf), wait: known < 0 ? Number.POSITIVE_INFINITY : known };
  },
);

/** ID, turn, pause, state and, if there is a new one, note and words. */
export const SET = draining(
  `local id, event = ARGV[1], load(ARGV[1])
if not event or event.turn ~= ARGV[2] then return 0 end
event.turn, event.note = nil, ARGV[5] or event.note
become(id, event, ARGV[4], ARGV[6])
save(id, event, now + ARGV[3])
return 1`,
  numberOf,
);

/** Why, ID, and by what: `turn` removes what has that turn; `fresh` what is older, in milliseconds; `person` what is free. */
export const LEAVE = draining(
  `local why, id, by = unpack(ARGV)
local event = load(id)
if not event then return 'absent' end
local is = {turn = event.turn == by, fresh = event.stored < now - (tonumber(by) or 0), person = isFree(id, event)}
if not is[why] then return 'taken' end
if why == 'person' then
  redis.call('RPUSH', dropped, id .. ' ' .. event.note)
  redis.call('LTRIM', dropped, -${MOST_DROPPED}, -1)
end
leave(id)
return 'dropped'`,
  (given) => wordOf(given, ['dropped', 'absent', 'taken']),
);

/** Ids. */
export const WAKE = draining(
  `local known = 0
for _, id in ipairs(ARGV) do
  local event = load(id)
  if event then
    known = known + 1
    if isFree(id, event) then
      if event.state == 'stopped' then become(id, event, 'waiting') end
      save(id, event, now)
    end
  end
end
return known`,
  numberOf,
);

/** Cursor. Answers with the next one, which is `0` after the last page. */
export const LIST = own(
  `local page, ids = redis.call('HSCAN', events, ARGV[1], 'COUNT', ${PAGE}), {}
for at = 1, #page[2], 2 do ids[#ids + 1] = page[2][at] end
return {page[1], entries(ids)}`,
  (given) => {
    const [cursor, found] = listOf(given);
    return [textOf(cursor), listOf(found).map(entryOf)] as const;
  },
);

/** Cursor: what waits longer than anything may is looked for in one page of a round. Answers with the next one. */
export const SUMMARY = draining(
  `local page = redis.call('ZSCAN', due, ARGV[1], 'COUNT', ${4 * PAGE})
for at = 1, #page[2], 2 do
  local isLate = page[2][at + 1] - now > ${contract.LONGEST_WAIT_MS}
  local event = isLate and load(page[2][at])
  if event and event.state == 'waiting' then moveTo(page[2][at], now) end
end
local function groups(pattern)
  local found, from = {}, '-'
  while #found <= ${contract.MOST_GROUPS} do
    local first = redis.call('ZRANGEBYLEX', sums, from, '+', 'LIMIT', 0, 1)[1]
    local group, came = string.match(first or '', pattern)
    if not group then break end
    from = '(' .. group .. '\\255'
    found[#found + 1] = {group, redis.call('ZLEXCOUNT', sums, '[' .. group, from), total(group), tonumber(came)}
  end
  return found
end
local found = groups('^(%l+\\n.-\\n)(%d+)\\n')
if #found > ${contract.MOST_GROUPS} then found = groups('^(%l+\\n).-\\n(%d+)\\n') end
local soonest = redis.call('ZRANGEBYSCORE', due, '-inf', '+inf', 'LIMIT', 0, ${contract.SOONEST})
local told = redis.call('LRANGE', dropped, 0, ${PAGE - 1})
if #told > 0 then redis.call('LTRIM', dropped, #told, -1) end
return {page[1], found, entries(soonest), told}`,
  (given) => {
    const [cursor, groups, soonest, dropped] = listOf(given);
    const isWaiting = ({ state }: contract.Entry) => Number(state === 'waiting');
    const told = listOf(dropped).map(textOf);
    const summary: contract.Summary = {
      groups: listOf(groups).map(groupOf),
      soonest: listOf(soonest)
        .map(entryOf)
        .sort((one, other) => isWaiting(other) - isWaiting(one)),
      dropped: told.map((each) => ({ id: each.slice(0, ID_LENGTH), note: readNote(each.slice(ID_LENGTH + 1)) })),
    };
    return [textOf(cursor), summary] as const;
  },
);

/** ID, the most bytes of one event. */
export const READ = own(
  `local bytes, why = fits(ARGV[1], ARGV[2])
return bytes and record(ARGV[1]) or why`,
  recordOf,
);

// --- an answer's parts

function groupOf(given: unknown): contract.Group {
  const [group, ...sums] = listOf(given, 4);
  const [state, words = ''] = textOf(group).split('\n');
  const [deliveries = 0, bytes = 0, oldest = 0] = sums.map(numberOf);
  return { ...readWords(words), state: stateOf(state), deliveries, bytes, oldest };
}

function entryOf(given: unknown): contract.Entry & { readonly turn: string } {
  const [id, text, wait] = listOf(given);
  const { bytes, state, note, turn } = parsedJson(textOf(text));
  const known = { bytes: Math.max(0, Number(bytes) || 0), note: readNote(String(note)), turn: String(turn) };
  return { ...known, id: textOf(id), state: stateOf(state), wait: numberOf(wait) };
}

function takenOf(given: unknown): contract.Taken {
  const [entry, record] = listOf(given);
  return { ...entryOf(entry), record: recordOf(record) };
}

function recordOf(given: unknown): contract.Taken['record'] {
  if (!Array.isArray(given)) return wordOf(given, ['limits', 'unreadable']);
  const [head, body] = listOf(given, 2).map(bytesOf);
  return head === undefined || body === undefined ? noSense() : { head, body };
}

const stateOf = (state: unknown): contract.Entry['state'] =>
  (['stopped', 'unverified'] as const).find((each) => each === state) ?? 'waiting';

const bytesOf = (given: unknown) => (given instanceof Buffer ? given : noSense());
const textOf = (given: unknown) => bytesOf(given).toString('latin1');
const wordOf = <const Words extends readonly string[]>(given: unknown, words: Words): Words[number] =>
  words.find((word) => word === textOf(given)) ?? noSense();
function numberOf(given: unknown): number {
  return typeof given === 'number' ? given : noSense();
}

function listOf(given: unknown, length?: number): readonly unknown[] {
  return Array.isArray(given) && given.length === (length ?? given.length) ? given : noSense();
}
