// What the server does for the store of deferred deliveries, each atomically. Every script has three keys: `index`, a
// hash; an event's key, also a hash; and `told`, a set. The index vanishes as a whole or not at all, so its sums always
// fit what it lists:
//
//   ID: bytes, when it was stored (epoch milliseconds), its number    ~ID: a drop that nobody was told yet
//   BODY: how many events have it         bytes: of all               number: of the last event
//   epoch: since when nothing was lost    base: the last number then  run: the server's run_id then
//
// No key but `told` has a time to live: what a policy of the server evicts by that is not ours. An event whose key is no
// hash any more is gone; what another has put there is left alone.
import { Buffer } from 'node:buffer';
import { type Command, type Script, script, textOf } from '../../once/redis-connection.ts';
import { type Added, type Entry, ID, MAX_OF_ONE_BODY, MAX_PROGRESS, type Read, type StoredBytes } from './store.ts';

/** Milliseconds. The holder renews it three times and more before it ends. */
const LEASE_MS = 30_000;
/** Milliseconds. How long a loss is remembered as told: far longer than any process goes without a listing. */
const TOLD_MS = 24 * 60 * 60 * 1000;
/** Fields of the index that one script reads, so that it blocks the server for a few milliseconds. */
const PAGE = 500;

/** Which event an id meant: numbers of one epoch never repeat. */
export interface Mark {
  readonly epoch: string;
  readonly number: number;
}

export interface Page {
  /** `0` after the last one. */
  readonly cursor: string;
  readonly epoch: string;
  readonly entries: readonly {
    readonly id: string;
    readonly bytes: number;
    readonly at: number;
    readonly number: number;
    readonly progress: Buffer | null;
  }[];
  readonly dropped: readonly string[];
}

/** A full server refuses a script whose first write could need memory: nothing could leave it any more. */
const DRAINS = `redis.call('HDEL', index, '')`;

const COMMON = `local index, event, told = KEYS[1], KEYS[2], KEYS[3]
local function of(field) return redis.call('HGET', index, field) end
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function whole(n) return string.format('%.0f', n) end
local function run()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end
local function begin()
  local epoch = table.concat(redis.call('TIME'), '.')
  redis.call('HSET', index, 'epoch', epoch, 'base', of('number') or 0, 'run', run())
end
local function leave(id)
  local bytes, body = string.match(of(id) or '', '^%d+') or 0, string.sub(id, 1, 16)
  redis.call('HDEL', index, id)
  redis.call('HINCRBY', index, 'bytes', -bytes)
  if redis.call('HINCRBY', index, body, -1) < 1 then redis.call('HDEL', index, body) end
end
local function isLost(id, epoch, number)
  if epoch == '' or epoch == of('epoch') or tonumber(number) <= tonumber(of('base') or 0) then return false end
  local isFirst = redis.call('SADD', told, id .. ' ' .. number) == 1
  redis.call('PEXPIRE', told, ${TOLD_MS})
  return isFirst
end
local function kind() return redis.call('TYPE', event).ok end
local function size(field) return redis.call('HSTRLEN', event, field) end
local function isFit(most)
  return kind() == 'hash' and redis.call('HEXISTS', event, 'head') == 1 and redis.call('HEXISTS', event, 'body') == 1
    and size('head') + size('body') <= tonumber(most) and size('progress') <= ${MAX_PROGRESS}
end
local function isHeld(token)
  return kind() == 'hash' and redis.call('HGET', event, 'claim') == token
end
`;

export interface Look {
  /** Why nothing more can be stored at present; null if there is no reason. */
  readonly failure: string | null;
  /** `maxmemory-policy`; empty if the server does not tell. */
  readonly policy: string;
}

/** Also finds that the server was started again, which may have lost what was stored last. */
const LOOK: Script<Look> = {
  text: `${COMMON}local set = redis.pcall('SET', event, '', 'PX', 1)
if set.err and not string.find(set.err, 'OOM') then return set end
${DRAINS}
if of('epoch') and of('run') ~= run() then begin() end
local info = redis.pcall('INFO', 'memory')
return {set.err or '', type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''}`,
  read: (given) => {
    const [failure, policy] = textsOf(given);
    if (failure === undefined || policy === undefined) return undefined;
    return { failure: failure === '' ? null : failure, policy };
  },
};
export const PROBE: Command<Look> = [LOOK, keysOf('')];

/** ID, head, body, bytes, maxBytes, over. Its first write is the one that a full server refuses. */
export const ADD: Script<{ readonly kind: Added | 'failed'; readonly mark: Mark; readonly failure: string }> = {
  text: `${COMMON}local id, bytes = ARGV[1], tonumber(ARGV[4])
local old, body = of(id), string.sub(ARGV[1], 1, 16)
local isGone = old and kind() ~= 'hash'
if old and not isGone and ARGV[6] ~= 'existing' then return {'known'} end
local others = (tonumber(of('bytes')) or 0) - (old and string.match(old, '^%d+') or 0)
if others + bytes > tonumber(ARGV[5]) then return {'full'} end
if (tonumber(of(body)) or 0) - (old and 1 or 0) >= ${MAX_OF_ONE_BODY} then return {'crowded'} end
local set = redis.pcall('HSET', event, 'head', ARGV[2], 'body', ARGV[3])
if type(set) == 'table' and set.err then return {'failed', set.err} end
redis.call('HDEL', event, 'progress', 'claim', 'until')
if old then leave(id) end
if isGone then redis.call('HSET', index, '~' .. id, '') end
if not of('epoch') then begin() end
local number = redis.call('HINCRBY', index, 'number', 1)
redis.call('HSET', index, id, bytes .. ' ' .. whole(now()) .. ' ' .. number)
redis.call('HINCRBY', index, 'bytes', bytes)
redis.call('HINCRBY', index, body, 1)
return {'stored', of('epoch'), whole(number)}`,
  read: (given) => {
    const [kind, first = '', second = ''] = textsOf(given);
    const mark = { epoch: first, number: Number(second) };
    if (kind === 'stored' && first !== '' && /^\d+$/.test(second)) return { kind, mark, failure: '' };
    if (kind === 'failed' && first !== '') return { kind, mark, failure: first };
    if (kind === 'known' || kind === 'full' || kind === 'crowded') return { kind, mark, failure: '' };
    return undefined;
  },
};

/** What `CLAIM` answers: `Claimed`, but for the claim. */
type Answer =
  | ({ readonly kind: 'claimed'; readonly record: Read } & Pick<Entry, 'progress'>)
  | { readonly kind: 'busy' | 'removed' | 'dropped' };

/**
 * ID, token, the most bytes of one event, the mark of the id (an empty epoch if there is none), the token of this
 * process's former claim, which gives way (empty if there is none).
 */
export const CLAIM: Script<Answer> = {
  text: `${COMMON}${DRAINS}
local id, token = ARGV[1], ARGV[2]
if not of(id) then
  local isDropped = redis.call('HDEL', index, '~' .. id) == 1 or isLost(id, ARGV[4], ARGV[5])
  return {isDropped and 'dropped' or 'removed'}
end
if kind() ~= 'hash' then leave(id) return {'dropped'} end
local held = redis.call('HMGET', event, 'claim', 'until')
local remaining = (tonumber(held[2]) or 0) - now()
if held[1] and held[1] ~= ARGV[6] and remaining > 0 and remaining <= ${LEASE_MS} then return {'busy'} end
redis.call('HSET', event, 'claim', token, 'until', whole(now() + ${LEASE_MS}))
if not isFit(ARGV[3]) then return {'unfit'} end
local found = redis.call('HMGET', event, 'head', 'body', 'progress')
return {'claimed', found[1], found[2], found[3]}`,
  read: (given) => {
    const [kind, head, body, progress] = listOf(given);
    const name = textOf(kind);
    if (name === 'busy' || name === 'removed' || name === 'dropped') return { kind: name };
    if (name === 'unfit') return { kind: 'claimed', record: name, progress: null };
    const isRecord = head instanceof Buffer && body instanceof Buffer;
    if (name !== 'claimed' || !isRecord || !(progress instanceof Buffer || progress === null)) return undefined;
    return { kind: name, record: { head, body }, progress };
  },
};

/** Token. It also revives a lease that has ended, if nobody else has claimed the event since. */
export const RENEW = script(
  `${COMMON}${DRAINS}
if isHeld(ARGV[1]) then redis.call('HSET', event, 'until', whole(now() + ${LEASE_MS})) end
return 1`,
  [1],
);

/** Token and, if there is some, progress. */
export const RELEASE = script(
  `${COMMON}${DRAINS}
if isHeld(ARGV[1]) then
  redis.call('HDEL', event, 'claim', 'until')
  if ARGV[2] then redis.call('HSET', event, 'progress', ARGV[2]) end
end
return 1`,
  [1],
);

/** ID, token. */
export const REMOVE = script(
  `${COMMON}if not isHeld(ARGV[2]) then return 0 end
redis.call('UNLINK', event)
if of(ARGV[1]) then leave(ARGV[1]) end
return 1`,
  [0, 1],
);

/** ID. What the server had lost already was none. */
export const DROP = script(
  `${COMMON}if not of(ARGV[1]) then return 0 end
local was = redis.call('UNLINK', event)
leave(ARGV[1])
redis.call('HSET', index, '~' .. ARGV[1], '')
return was`,
  [0, 1],
);

/** ID, the most bytes of one event. */
export const READ: Script<StoredBytes | null> = {
  text: `${COMMON}if not of(ARGV[1]) or not isFit(ARGV[2]) then return {} end
return redis.call('HMGET', event, 'head', 'body')`,
  read: (given) => {
    if (!Array.isArray(given)) return undefined;
    if (given.length === 0) return null;
    const [head, body, ...rest] = given as readonly unknown[];
    return head instanceof Buffer && body instanceof Buffer && rest.length === 0 ? { head, body } : undefined;
  },
};

/** Cursor, `owner` or `visitor`. The event's key is the part that all of them begin with. */
export const LIST: Script<Page> = {
  text: `${COMMON}local isOwner = ARGV[2] == 'owner'
${DRAINS}
local page = redis.call('HSCAN', index, ARGV[1], 'COUNT', ${PAGE})
local entries, dropped, prefix = {}, {}, event
for at = 1, #page[2], 2 do
  local id, value = page[2][at], page[2][at + 1]
  if string.sub(id, 1, 1) == '~' then
    if isOwner then
      redis.call('HDEL', index, id)
      dropped[#dropped + 1] = string.sub(id, 2)
    end
  elseif string.len(id) == 49 then
    event = prefix .. id
    if kind() == 'hash' then
      local isReadable = size('progress') <= ${MAX_PROGRESS}
      entries[#entries + 1] = id .. ' ' .. value
      entries[#entries + 1] = isReadable and redis.call('HGET', event, 'progress')
    elseif isOwner then
      leave(id)
      dropped[#dropped + 1] = id
    end
  end
end
return {page[1], of('epoch') or '', entries, dropped}`,
  read: (given) => {
    const [cursor, epoch, listed, dropped] = listOf(given).map(textOf);
    if (typeof cursor !== 'string' || typeof epoch !== 'string' || !Array.isArray(listed)) return undefined;
    const entries: Page['entries'][number][] = [];
    for (let at = 0; at < listed.length; at += 2) {
      const [id = '', bytes, stored, number] = String(textOf(listed[at])).split(' ');
      const progress: unknown = listed[at + 1];
      // A copy: the buffer is a part of what the socket read, which it would keep.
      const kept = progress instanceof Buffer ? Buffer.from(progress) : null;
      const numbers = { bytes: Number(bytes), at: Number(stored), number: Number(number) };
      if (!ID.test(id) || Object.values(numbers).some((each) => !Number.isSafeInteger(each))) return undefined;
      entries.push({ id, ...numbers, progress: kept });
    }
    return { cursor, epoch, entries, dropped: textsOf(dropped) };
  },
};

/** Ids, each with its mark. Those that are lost, and that no other process was told. */
export const LOST: Script<readonly string[]> = {
  text: `${COMMON}${DRAINS}
local lost = {}
for at = 1, #ARGV, 3 do
  if not of(ARGV[at]) and isLost(ARGV[at], ARGV[at + 1], ARGV[at + 2]) then lost[#lost + 1] = ARGV[at] end
end
return lost`,
  read: (given) => (Array.isArray(given) ? textsOf(given) : undefined),
};

/** The keys of a script: of one event, or, with an empty id, of none. */
export function keysOf(id: string): readonly string[] {
  return ['index', `event:${id}`, 'told'];
}

const listOf = (given: unknown): readonly unknown[] => (Array.isArray(given) ? given : []);
const textsOf = (given: unknown) => listOf(given).map((each) => String(textOf(each)));
