// Worlds: what comes to a proxy over minutes or days, drawn by fast-check, with the truth of what was lost and why. A
// virtual clock runs a world through a judge. `happeningsIn` tells a world as a list; nothing here knows the judge.
import fc from 'fast-check';
import { type Hint, OVERLOAD_HINTS } from '../../../src/core/hint.ts';
import type { RequestRecord, SentAgain } from '../../../src/core/request-record.ts';
import { type Route, UNMATCHED } from '../../../src/core/routes.ts';
import { accepted, hint, refused } from '../../unit/fixtures.ts';
import { seeded, shuffled } from '../runner/seeded.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

type Changes = Partial<RequestRecord>;

/** One way in which deliveries are lost. */
export interface FaultKind {
  /** `app`: the app does not take what was verified. `front`: refused before. `door`: its connection is turned away. */
  readonly side: 'app' | 'front' | 'door';
  readonly changes: Changes;
  /** Milliseconds until the outcome is known. */
  readonly late?: number;
  /** The diagnoses that are right. */
  readonly causes: readonly string[];
  /** No request shows that it is a delivery, but only that deliveries have stopped. */
  readonly isUnprovable?: boolean | undefined;
  readonly isProven?: boolean | undefined;
}

const app = (causes: readonly string[], changes: Changes, late = 0): FaultKind => {
  return { side: 'app', changes, causes, late };
};
const front = (causes: readonly string[], changes: Changes): FaultKind => ({ side: 'front', changes, causes });
const proven = (causes: readonly string[], changes: Changes) => ({ ...front(causes, changes), isProven: true });
const unprovable = (causes: readonly string[], changes: Changes) => ({ ...front(causes, changes), isUnprovable: true });
const unsigned = { reason: 'missing_signature', signed: false, event: '' } as const;
/** A head that was not read tells nothing. */
const unread = {
  ...{ route: 'unmatched', path: '', method: '', userAgent: '', contentType: '' },
  ...{ signed: false, event: '' },
} as const;
const from = (client: string, connectionAddress = client) => ({ client, connectionAddress });
const noAnswer = (upstreamFailure: RequestRecord['upstreamFailure']) =>
  ({ status: 502, upstreamStatus: 0, upstreamFailure }) as const;

const HANDSHAKE = hint('handshake-fails', 'clients refused the certificate here');

export const FAULTS = {
  500: app(['app-fails'], { status: 500, upstreamStatus: 500 }),
  hang: app(['app-hangs'], noAnswer('timeout'), 30 * SECOND),
  404: app(['app-refuses'], { status: 404, upstreamStatus: 404 }),
  429: app(['app-busy'], { status: 429, upstreamStatus: 429 }),
  down: app(['app-down'], { ...noAnswer('connect'), upstreamError: 'ECONNREFUSED' }),
  breaks: app(['app-breaks-off'], noAnswer('reset')),
  /** Fails whenever it is sent again, too. */
  poison: app(['app-fails'], { status: 500, upstreamStatus: 500 }),
  'no HTTP': app(['app-not-http'], noAnswer('protocol')),
  slots: app(['slots-full'], { status: 503, reason: 'overloaded', upstreamStatus: 0, hint: OVERLOAD_HINTS.slots }),
  'sender leaves': app(['sender-leaves'], { status: 499, reason: 'client_closed', upstreamStatus: 0 }, 5 * SECOND),
  rotated: front(['another-secret'], {}),
  'another version': front(['another-secret'], { contentType: 'application/json; charset=utf-8' }),
  expired: front(['expired-secret'], { reason: 'expired_secret', hint: hint('expired-secret', 'old', 'old') }),
  'rewritten by a new front': proven(['body-changed'], {
    userAgent: 'axios/1.7.2',
    contentType: 'application/json; charset=utf-8',
    hint: hint('body-changed', 'the signature fits the body as JSON.stringify writes it'),
  }),
  'newline since an update': proven(['trailing-newline'], {
    userAgent: 'Entrupy-next/0.1',
    hint: hint('trailing-newline', 'the secret was used with a trailing newline'),
  }),
  compressed: proven(['body-compressed'], { hint: hint('body-compressed', 'the body was signed before that') }),
  hex: front(['signature-form'], { reason: 'malformed_signature', event: '', hint: hint('signature-form', 'hex') }),
  stripped: front(['signature-dropped'], unsigned),
  renamed: front(['signature-dropped'], { ...unsigned, renamedHeader: 'X-Entrupy-Signature' }),
  PUT: front(['other-address'], { reason: 'method_not_allowed', method: 'PUT', status: 405 }),
  moved: front(['other-address'], { reason: 'route_rejected', route: 'unmatched', path: '/notfy', status: 404 }),
  'large body': front(['large-body'], { reason: 'body_too_large', status: 413 }),
  budget: front(['bodies-full'], { reason: 'overloaded', status: 503, hint: OVERLOAD_HINTS.bytes }),
  'adds a header': front(['gate-rule'], {
    reason: 'bad_request',
    route: 'unmatched',
    rule: 'route-headers',
    status: 400,
  }),
  'large head': front(['large-head'], { ...unread, reason: 'header_too_large', rule: 'head-size', status: 431 }),
  'slow head': unprovable(['slow-request'], { ...unread, reason: 'header_timeout', status: 408 }),
  'another look': unprovable(['another-secret'], { userAgent: 'Hooks/9' }),
  'moved behind a front that strips': unprovable(['signature-dropped'], {
    ...{ ...unsigned, ...from('10.0.0.9'), userAgent: 'Go-http-client/2.0' },
  }),
  door: { side: 'door', changes: {}, causes: ['connections-full'] },
  handshakes: { side: 'door', changes: { hint: HANDSHAKE }, causes: ['handshake-fails'] },
} as const satisfies Record<string, FaultKind>;
export type FaultName = keyof typeof FAULTS;

/** What strangers send: never a delivery. */
const STRANGERS = {
  scans: { ...unsigned, method: 'GET', path: '/.env' },
  'unsigned POSTs': unsigned,
  'signed POSTs': {},
  'empty secrets': { hint: hint('sender-signs', 'an empty secret') },
  'guessed secrets': { hint: { ...hint('secret-form', 'one like it'), isGuess: true } },
  'hex POSTs': { reason: 'malformed_signature', event: '' },
  'signed PUTs': { reason: 'method_not_allowed', method: 'PUT', status: 405 },
  'rejected path': { reason: 'route_rejected', route: 'unmatched', status: 404 },
  'broken heads': { ...unread, reason: 'bad_request', rule: 'parser', status: 400 },
  'half heads': { ...unread, reason: 'header_timeout', status: 408 },
  /** These two come after a scan from the same address. */
  'large heads': FAULTS['large head'].changes,
  handshakes: {},
  'slow bodies': { reason: 'overloaded', status: 503, hint: OVERLOAD_HINTS.bytes },
  /** A sender's look from another address, without a signature. */
  'look-alikes': unsigned,
  /** With a signature. */
  forgers: {},
  connections: {},
} as const satisfies Record<string, Changes>;
type StrangerName = keyof typeof STRANGERS;

export interface World {
  readonly seed: number;
  readonly deliveries: number;
  readonly anHour: number;
  readonly rhythm: 'even' | 'nights' | 'weekends';
  readonly senders: number;
  /** Whether all have one look; else each has its own. */
  readonly oneLook: boolean;
  /** Everybody, strangers too, comes from one address. */
  readonly front: boolean;
  /** The senders' connections come through two trusted proxies; a fault of what is not read is the second's. */
  readonly fronts?: boolean;
  /** So many an hour of the first sender's address, with its look or another one, are well on another route. */
  readonly beside?: number;
  /** A sender has another address from the middle on. */
  readonly moves: boolean;
  readonly strangers: StrangerName | 'none';
  /** Requests of strangers for each delivery. */
  readonly crowd: number;
  /** All of them come in the second long pause, where there is one. */
  readonly atNight?: boolean;
  /** Begin and length are shares of the world's deliveries. */
  readonly faults: readonly {
    readonly kind: FaultName;
    readonly begin: number;
    readonly length: number;
    readonly share: number;
    /** All bad ones of so many come in a row, where those come within a minute. */
    readonly clump: number;
  }[];
  readonly redeliver: boolean;
  /** Of what is sent again the app takes one in so many. */
  readonly again: number;
  readonly duplicates: boolean;
  readonly probes: boolean;
  readonly report: boolean;
  readonly restart: boolean;
  /** How the route changes in the middle. */
  readonly reload: keyof typeof RELOADS;
  /** Once the faults are over, all that comes was delivered before. */
  readonly onlyTwins?: boolean;
  readonly clockStep: number;
}

/** The routes before it and after it, and the paths to which deliveries go. */
const RELOADS = {
  none: { before: '/notify', after: '/notify', from: '/notify', to: '/notify' },
  path: { before: '/notify', after: '/hooks', from: '/notify', to: '/hooks' },
  /** Their senders use another route that is there. */
  route: { before: '/notify /hooks', after: '/notify /hooks', from: '/notify', to: '/hooks' },
  /** Those on `unmatched`, which verified them, are rejected. */
  rejected: { before: '/hooks', after: '/hooks', from: '/notfy', to: '/hooks' },
  /** A route takes what came on `unmatched`. */
  taken: { before: '', after: '/hooks', from: '/HOOKS', to: '/HOOKS' },
} as const;

export const BESIDE = '/beside';
const hasBeside = ({ beside, reload }: World) => beside !== undefined && beside > 0 && reload === 'none';

/** The routes, and where deliveries come. `unmatched` rejects, but where they come, or came, there. */
export function routing(world: World, isAfter: boolean) {
  const { reload } = world;
  const { before, after, from, to } = RELOADS[reload];
  const [all, path] = isAfter ? [after, to] : [before, from];
  const routes = `${all} ${hasBeside(world) ? BESIDE : ''}`.split(' ').filter(Boolean);
  const route = routes.find((one) => one === path.toLowerCase()) ?? UNMATCHED;
  const unmatched: Route['action'] = route === UNMATCHED || reload === 'taken' ? 'verify' : 'reject';
  return { routes, path, route, unmatched };
}

const PACES = [4, 12, 60, 600, 3600, 36_000, 360_000];
const names = <T extends object>(of: T) => Object.keys(of) as (keyof T)[];
const rarely = (weight: number) =>
  fc.oneof({ weight, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });

const aFault = fc.record({
  kind: fc.constantFrom(...names(FAULTS)),
  begin: fc.constantFrom(0, 0.1, 0.25, 0.4, 0.6),
  length: fc.constantFrom(0.03, 0.1, 0.3, 0.6),
  share: fc.constantFrom(0.02, 0.1, 0.2, 0.34, 0.5, 0.75, 1, 1),
  clump: fc.constantFrom(5, 5, 5, 50),
});

const anyWorld: fc.Arbitrary<World> = fc.record({
  seed: fc.nat(),
  deliveries: fc.integer({ min: 30, max: 160 }),
  anHour: fc.constantFrom(...PACES),
  rhythm: fc.constantFrom('even', 'even', 'nights', 'weekends'),
  senders: fc.integer({ min: 1, max: 3 }),
  oneLook: fc.boolean(),
  front: fc.boolean(),
  fronts: rarely(6),
  beside: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constantFrom(...PACES)),
  moves: rarely(3),
  strangers: fc.oneof(fc.constant('none' as const), fc.constantFrom(...names(STRANGERS))),
  crowd: fc.constantFrom(0.1, 1, 10),
  faults: fc.array(aFault, { maxLength: 2 }),
  redeliver: rarely(2),
  again: fc.constantFrom(1, 1, 2, 3),
  duplicates: rarely(2),
  probes: rarely(2),
  report: rarely(12),
  restart: rarely(6),
  reload: fc.oneof({ weight: 6, arbitrary: fc.constant('none' as const) }, fc.constantFrom(...names(RELOADS))),
  clockStep: fc.constantFrom(0, 0, 0, HOUR, -HOUR, -DAY),
});

type Part = readonly [begin: number, length: number, share: number, clump?: number];
type Parts = readonly Part[];

/** What few worlds have, although a rule is for it: the faults, by their parts, and the rest of the world. */
interface Rare {
  readonly parts: Parts;
  readonly kinds: readonly FaultName[];
  readonly world: Partial<World>;
}
const rare = (world: Partial<World>, kinds: Rare['kinds'], ...parts: Parts) => ({ parts, kinds, world });
const ALONE = { strangers: 'none', report: false, restart: false, reload: 'none' } as const;
const FRESH = { ...ALONE, redeliver: false } as const;
const STORED = { ...ALONE, redeliver: true } as const;
const SLOW = { anHour: 4, restart: false, reload: 'none' } as const;
const FAST = { anHour: 360_000, strangers: 'none' } as const;
const AT_A_TIME = { ...ALONE, anHour: 3600, deliveries: 900 } as const;
const HANGS_ON = { ...FRESH, anHour: 3600, deliveries: 160, reload: 'path' } as const;
const POISONED = { ...STORED, duplicates: false, anHour: 4, deliveries: 100, rhythm: 'even' } as const;
const REFUSES = { ...FRESH, anHour: 4, deliveries: 60 } as const;
const RESTARTS = { ...ALONE, anHour: 4, restart: true } as const;
const STOPS = { ...ALONE, anHour: 4, deliveries: 300, rhythm: 'even' } as const;
const AT_NIGHT = { ...ALONE, strangers: 'unsigned POSTs', crowd: 0.1, atNight: true, front: false } as const;

const FRONTS = { ...FRESH, front: false, fronts: true, beside: 0 } as const;
const TWO = { ...FRESH, deliveries: 100, oneLook: true, beside: 60 } as const;
const SCANNED = { ...FRESH, front: true, strangers: 'scans', crowd: 0.05 } as const;

const RARE: Readonly<Record<string, Rare>> = {
  'a short outage within few failures that go on': rare({}, [], [0.3, 0.03, 1], [0.1, 0.9, 0.02]),
  'many failures that go on below an outage': rare({ anHour: 12 }, [], [0, 0.6, 0.34], [0.1, 0.3, 1]),
  'an outage that ends while other failures go on': rare(AT_A_TIME, [], [0.02, 0.1, 1], [0.02, 0.98, 0.34]),
  'an outage that ends while few failures go on': rare(AT_A_TIME, [], [0.02, 0.1, 1], [0.02, 0.98, 0.02]),
  'an outage until the end, sent again': rare(STORED, ['breaks'], [0.4, 0.6, 1]),
  'an app that takes few of what is sent again': rare({ ...STORED, again: 3, anHour: 3600 }, [500], [0.4, 0.6, 1]),
  'and takes all that is fresh': rare({ ...STORED, again: 3, anHour: 60, deliveries: 160 }, [500], [0.2, 0.4, 1]),
  'a short outage at the end, tried again': rare({ ...STORED, duplicates: true }, ['breaks'], [0.95, 0.05, 1]),
  'an outage on a route that a reload then removes': rare({ reload: 'path', strangers: 'none' }, [], [0.25, 0.1, 1]),
  'an outage after weekends': rare({ ...SLOW, deliveries: 400, rhythm: 'weekends' }, [], [0.9, 0.1, 1]),
  'answers that hang over a reload': rare(HANGS_ON, ['hang'], [0.5, 0.1, 1]),
  'and then all goes astray': rare(HANGS_ON, ['hang', 'moved'], [0.5, 0.05, 1], [0.55, 0.45, 1]),
  'few good ones after an outage': rare({ ...SLOW, deliveries: 60, rhythm: 'even' }, [], [0.7, 0.2, 1]),
  'deliveries that stop': rare(STOPS, [], [0.4, 0.6, 1]),
  'deliveries that come elsewhere, stripped': rare(STOPS, ['moved behind a front that strips'], [0.4, 0.6, 1]),
  'long after a fault': rare({ anHour: 3600, deliveries: 600 }, [], [0.02, 0.05, 1], [0.6, 0.3, 0.34]),
  'few failures at a high pace, all in a row': rare({ anHour: 36_000, deliveries: 1500 }, [], [0.1, 0.9, 0.02, 250]),
  'many failures at a high pace, all in a row': rare({ anHour: 36_000, deliveries: 1500 }, [], [0.1, 0.9, 0.34, 250]),
  'seconds of an outage, then few failures': rare(FAST, [], [0.25, 0.3, 1], [0.6, 0.6, 0.02]),
  'few hang, then all is quiet': rare({ ...FAST, redeliver: true }, ['hang'], [0.1, 0.03, 0.1], [0.4, 0.1, 0.02]),
  'strangers in the second night': rare({ ...AT_NIGHT, anHour: 4, deliveries: 160, rhythm: 'nights' }, []),
  'an app that is down, and then answers with errors': rare(ALONE, ['down'], [0.2, 0.3, 1], [0.5, 0.5, 1]),
  'an app that is down, then refuses, and then takes all': rare(
    REFUSES,
    ['down', 404],
    [0.25, 0.02, 1],
    [0.27, 0.1, 1],
  ),
  'an app that is down at a restart, and then refuses': rare(RESTARTS, ['down', 404], [0.2, 0.12, 1], [0.32, 0.68, 1]),
  'an app that restarts beside few failures': rare(AT_A_TIME, [404, 'down'], [0.02, 0.98, 0.1], [0.5, 0.01, 1]),
  'poison at a slow pace': rare(POISONED, ['poison'], [0.2, 0.02, 1]),
  'only twins after it': rare({ ...ALONE, onlyTwins: true, anHour: 60, deliveries: 160 }, ['rotated'], [0.2, 0.1, 1]),
  'a full door behind a front that few strangers use': rare(SCANNED, ['door'], [0.4, 0.3, 1]),
  'a full door before another route': rare({ ...FRESH, reload: 'route' }, ['door'], [0.45, 0.1, 1]),
  'some who send where none is taken any more': rare({ ...FRESH, reload: 'rejected' }, ['moved'], [0.55, 0.1, 1]),
  'an outage on a path that a route then takes': rare({ ...FRESH, reload: 'taken' }, [], [0.4, 0.15, 1]),
  'large heads at the start, through one of two fronts': rare(FRONTS, ['large head'], [0, 0.1, 1]),
  'a full door at the start, before one of two fronts': rare(FRONTS, ['door'], [0, 0.1, 1]),
  'a slow route fails beside a quick one of its sender': rare({ ...TWO, anHour: 4 }, [], [0.3, 0.7, 1]),
  'and all night, while that goes on': rare({ ...TWO, anHour: 12, rhythm: 'nights' }, [500], [0.1, 0.9, 1]),
  'a moment at a high pace': rare({ anHour: 36_000, deliveries: 400 }, [], [0.4, 0.01, 1]),
};

const rareWorld = fc
  .record({
    world: anyWorld,
    rare: fc.constantFrom(...Object.values(RARE)),
    kinds: fc.array(aFault, { minLength: 2, maxLength: 2 }),
  })
  .map(({ world, rare, kinds }): World => {
    const faults = rare.parts.map(([begin, length, share, clump = 5], nth) => {
      return { kind: rare.kinds[nth] ?? kinds[nth]?.kind ?? 500, begin, length, share, clump };
    });
    return { ...world, ...rare.world, faults };
  });

export const worlds: fc.Arbitrary<World> = fc.oneof(
  { weight: 5, arbitrary: anyWorld },
  { weight: 2, arbitrary: rareWorld },
);

/** What happened, and the truth of it. `at`: milliseconds of the monotonic clock. */
export type Happening = { readonly at: number } & (
  | { readonly kind: 'request'; readonly record: RequestRecord; readonly outcome: Outcome | null }
  | { readonly kind: 'turned away'; readonly address: string; readonly outcome: Outcome | null; readonly hint?: Hint }
  | { readonly kind: 'sent again'; readonly record: SentAgain; readonly outcome: Outcome }
  | { readonly kind: 'restart' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'clock step'; readonly by: number }
);

/** What became of a delivery. `fault`: the index of the fault that it met; null where the app took it. */
export interface Outcome {
  readonly fault: number | null;
  /** When it came. */
  readonly startedAt: number;
  readonly look: string;
  readonly address: string;
  /** Of its connection. */
  readonly connection: string;
  /** What is not lost for good: it is deferred. */
  readonly isStored: boolean;
  /** Its signature shows a secret of ours. */
  readonly isProven?: boolean | undefined;
  /** It was verified, so it looks like itself. */
  readonly isVerified: boolean;
  readonly isUnprovable?: boolean | undefined;
  /** Its connection was one too many, whoever's. */
  readonly isFull?: boolean | undefined;
}

const START = 10 * MINUTE;

/** All that happens in a world, in order. The same world is always told alike. */
export function happeningsIn(world: World): readonly Happening[] {
  const random = seeded(world.seed);
  const all: Happening[] = [];
  const times = timesOf(world, random);
  const end = times.at(-1) ?? START;
  const bad = badOnes(world, times.length, random);
  const reloadAt = reloadIn(world, end);
  for (const [nth, at] of times.entries()) {
    const who = Math.floor(random() * world.senders);
    const fault = bad[nth] ?? null;
    const place = placeIn(world, who, nth > times.length / 2, fault, random);
    const { route, path } = routing(world, at > reloadAt);
    const sender = { ...lookOf(world.oneLook ? 0 : who), ...place, route, path, startedAt: at };
    all.push(...delivery(world, { at, sender, fault, end: endOf(world, times, nth) }, random));
  }
  all.push(...strangersIn(world, times, random));
  if (world.probes)
    for (let at = START; at < end && all.length < 6000; at += Math.max(MINUTE, (end - START) / 200))
      all.push({ at, kind: 'request', record: accepted({ decision: 'probe', fate: 'none' }), outcome: null });
  if (hasBeside(world)) all.push(...besideIn(world, end));
  all.push(...changesIn(world, end));
  return all.sort((one, other) => one.at - other.at);
}

/** Whence a sender's delivery comes. */
function placeIn(world: World, who: number, isLate: boolean, fault: number | null, random: () => number) {
  const client = world.front ? '192.0.2.1' : `198.51.100.${who + (world.moves && isLate ? 100 : 1)}`;
  const isOfHead = isUnread(world, fault);
  const connection = hasFronts(world) ? `192.0.2.${isOfHead || random() < 0.5 ? 3 : 2}` : client;
  return from(isOfHead ? connection : client, connection);
}

const hasFronts = ({ front, fronts, reload }: World) => fronts === true && !front && reload === 'none';

/** True for what only the address of a connection tells. */
function isUnread({ faults }: World, fault: number | null): boolean {
  const { side, changes }: FaultKind = FAULTS[faults[fault ?? -1]?.kind ?? 500];
  return side === 'door' || changes.method === '';
}

/** What was not read counts where its address sent the last one, so there the other route has an address of its own. */
function* besideIn(world: World, end: number): Iterable<Happening> {
  const isApart = !hasFronts(world) && world.faults.some((_, nth) => isUnread(world, nth));
  const client = isApart ? '198.51.100.50' : world.front ? '192.0.2.1' : '198.51.100.1';
  const address = from(client, hasFronts(world) ? '192.0.2.2' : client);
  const sender = { ...lookOf(world.oneLook ? 0 : 3), ...address, route: BESIDE, path: BESIDE, upstreamMs: 20 };
  const pause = Math.max(HOUR / (world.beside ?? 1), (end - START) / 500);
  for (let at = START + pause / 2; at < end; at += pause)
    yield { at, kind: 'request', record: accepted({ ...sender, startedAt: at }), outcome: null };
}

function reloadIn({ reload, redeliver }: World, end: number): number {
  return reload !== 'none' && !redeliver ? START + (end - START) * 0.55 : Number.POSITIVE_INFINITY;
}

function* changesIn(world: World, end: number): Iterable<Happening> {
  const at = (share: number) => START + (end - START) * share;
  if (reloadIn(world, end) < end) yield { at: reloadIn(world, end), kind: 'reload' };
  if (world.restart) yield { at: at(0.3), kind: 'restart' };
  if (world.clockStep !== 0) yield { at: at(0.5), kind: 'clock step', by: world.clockStep };
}

const lookOf = (nth: number) => ({ userAgent: `Entrupy-${'abcd'[nth]}/1.0`, contentType: 'application/json' });

/** When the deliveries come. A fast world has more of them, so that it lasts as long as the judge needs to look. */
function timesOf({ deliveries, anHour, rhythm }: World, random: () => number): readonly number[] {
  const pause = HOUR / anHour;
  const isLong = pause > SECOND || deliveries > 160;
  const amount = isLong ? deliveries : Math.max(deliveries, Math.ceil((deliveries * SECOND) / 2 / pause / 2));
  const times: number[] = [];
  let at = START;
  for (let nth = 0; nth < Math.min(amount, 2000); nth++) {
    at += pause * (0.5 + random());
    const isSlow = anHour <= 60;
    if (isSlow && rhythm !== 'even' && at % DAY > 14 * HOUR) at += DAY - (at % DAY);
    if (isSlow && rhythm === 'weekends' && Math.floor(at / DAY) % 7 >= 5) at += (7 - (Math.floor(at / DAY) % 7)) * DAY;
    times.push(at);
  }
  return times;
}

/** For each delivery the fault that it meets, or null. In every clump as many as the share says, at random places. */
function badOnes({ faults, anHour }: World, amount: number, random: () => number): readonly (number | null)[] {
  const bad = new Array<number | null>(amount).fill(null);
  for (const [index, { begin, length, share, clump }] of faults.entries()) {
    const size = clump > 5 && anHour >= 60 * clump ? clump : 5;
    const from = Math.floor(begin * amount);
    const until = Math.min(amount, from + Math.ceil(length * amount));
    for (let at = from; at < until; at += size) {
      const due = Math.floor((at + size - from) * share + 1e-9) - Math.floor((at - from) * share + 1e-9);
      const all = Array.from({ length: size }, (_, nth) => at + nth);
      const places = (size === 5 ? shuffled(all, random) : all).slice(0, due);
      for (const place of places) if (place < until) bad[place] ??= index;
    }
  }
  return bad;
}

/** When the fault that delivery `nth` meets is over. */
function endOf({ faults }: World, times: readonly number[], nth: number): number {
  const last = Math.max(0, ...faults.map(({ begin, length }) => (begin + length) * times.length));
  return Math.max(times[Math.min(times.length - 1, Math.ceil(last))] ?? 0, times[nth] ?? 0);
}

type Place = 'client' | 'connectionAddress' | 'route' | 'path';
type Sender = Pick<RequestRecord, 'userAgent' | 'contentType' | 'startedAt' | Place>;
interface Coming {
  readonly at: number;
  readonly sender: Sender;
  readonly fault: number | null;
  /** When the fault ends. */
  readonly end: number;
}

const knownOf = ({ userAgent, contentType, client, connectionAddress, startedAt }: Sender) => ({
  ...{ look: `${userAgent} ${contentType}`, address: client, connection: connectionAddress },
  ...{ isStored: false, startedAt },
});

function delivery(world: World, coming: Coming, random: () => number): Happening[] {
  const { at, sender, fault, end } = coming;
  if (fault === null) {
    const record = accepted({ ...sender, upstreamMs: 20 });
    const good: Happening = { at, kind: 'request', record, outcome: { ...knownOf(sender), fault, isVerified: true } };
    if (world.onlyTwins === true && at === end) return [twinOf(sender, at)];
    return world.duplicates && random() < 0.2 ? [good, twinOf(sender, at + 1)] : [good];
  }
  const bad = badDelivery(world, { ...coming, fault }, random);
  // An old event again, while new ones are lost: it proves nothing about the app.
  return world.duplicates && random() < 0.5 ? [...bad, twinOf(sender, at + 2)] : bad;
}

const twinOf = (sender: Changes, at: number): Happening => {
  const record = accepted({ ...sender, decision: 'duplicate', fate: 'duplicate', upstreamStatus: 0 });
  return { at, kind: 'request', record, outcome: null };
};

type Stored = Coming & {
  readonly fault: number;
  readonly late: number;
  readonly record: RequestRecord;
  readonly outcome: Outcome;
};

/** Of several routes a mistyped path is nearest to that of its own. */
const mistyped = ({ reload }: World, { sender }: Coming, { reason }: Changes): Changes =>
  reason === 'route_rejected' && reload === 'route' ? { path: sender.path.replace('o', '') } : {};

function badDelivery(world: World, coming: Coming & { readonly fault: number }, random: () => number): Happening[] {
  const { at, sender, fault } = coming;
  const known = knownOf(sender);
  const { side, changes, late = 0, isUnprovable, isProven }: FaultKind = FAULTS[world.faults[fault]?.kind ?? 500];
  if (side === 'door') {
    const { hint } = changes;
    const outcome = { ...known, fault, isVerified: false, isFull: hint === undefined };
    return [{ at, kind: 'turned away', address: sender.client, outcome, ...(hint ? { hint } : {}) }];
  }
  if (side === 'front') {
    const hasChanged = world.faults[fault]?.kind === 'another version';
    const version = hasChanged ? { userAgent: `${sender.userAgent}.1` } : {};
    const record = refused({ ...sender, ...version, ...changes, ...mistyped(world, coming, changes) });
    const reported = { ...record, decision: 'reported', status: 200, upstreamStatus: 200 } as const;
    if (world.report && record.status === 401) return [{ at, kind: 'request', record: reported, outcome: null }];
    const places = { address: record.client, connection: record.connectionAddress };
    const outcome = { ...known, ...places, fault, isVerified: false, isUnprovable, isProven };
    return [{ at, kind: 'request', record, outcome }];
  }
  const record = accepted({ ...sender, ...changes });
  const isStored =
    world.redeliver && record.fate === 'failed' && (record.upstreamFailure !== null || record.upstreamStatus >= 429);
  const told: RequestRecord = isStored ? { ...record, decision: 'deferred', status: 202, fate: 'deferred' } : record;
  const outcome = { ...known, fault, isStored, isVerified: true };
  const first: Happening = { at: at + late, kind: 'request', record: told, outcome };
  if (!isStored) return [first];
  return [first, ...sendings(world, { ...coming, record: told, late, outcome }, random)];
}

/** What becomes of a stored delivery. */
function sendings(world: World, stored: Stored, random: () => number): Happening[] {
  const { at, sender, fault, end, late, outcome } = stored;
  const { route, event, upstreamStatus, upstreamFailure, upstreamError } = stored.record;
  const again: SentAgain = { route, event, fate: 'taken', upstreamStatus: 200 };
  const vain = { ...again, fate: 'failed', upstreamStatus, upstreamFailure, upstreamError } as const;
  const taken = { ...outcome, fault: null };
  if (world.faults[fault]?.kind === 'poison') {
    // After a restart nothing would tell it from others.
    const tries =
      world.restart || world.anHour > 60 ? [] : Array.from({ length: 12 }, (_, nth) => (nth + 1) * 10 * MINUTE);
    return tries.map((pause) => ({ at: at + pause, kind: 'sent again', record: vain, outcome }) as const);
  }
  const all: Happening[] = [];
  let when = Math.max(at, end) + late + SECOND + random() * 10 * SECOND;
  if (world.duplicates && random() >= 0.5) {
    // Its sender tries again: the fresh one is taken, and ends the stored one.
    const fresh = accepted({ ...sender, upstreamMs: 20, startedAt: when, event });
    return [{ at: when, kind: 'request', record: fresh, outcome: { ...taken, startedAt: when } }];
  }
  // Of two faults nobody could say which of them it meets then.
  const isAlone = world.faults.length === 1 && !world.restart && late === 0;
  for (let nth = 1; isAlone && random() >= 1 / world.again; nth++) {
    all.push({ at: when, kind: 'sent again', record: vain, outcome });
    when += Math.min(600, 2 ** nth) * SECOND * (0.75 + random() / 2);
  }
  return [...all, { at: when, kind: 'sent again', record: again, outcome: taken }];
}

/** The second pause of hours. */
function secondNight(times: readonly number[]): readonly number[] {
  const nights = times.flatMap((at, nth) =>
    at - (times[nth - 1] ?? at) > 5 * HOUR ? [[times[nth - 1] ?? at, at]] : [],
  );
  return nights[1] ?? [];
}

function strangersIn(world: World, times: readonly number[], random: () => number): Happening[] {
  const { strangers, crowd, front } = world;
  if (strangers === 'none') return [];
  const all: Happening[] = [];
  const [begin = START, end = START] = world.atNight === true ? secondNight(times) : [times[2], times.at(-1)];
  const amount = Math.min(800, Math.ceil(times.length * crowd));
  for (let nth = 0; nth < amount; nth++) {
    const at = begin + 1 + random() * (end - begin);
    const address = front ? '192.0.2.1' : `203.0.113.${nth % 5}`;
    const isAlike = strangers === 'look-alikes' || strangers === 'forgers';
    const look = isAlike ? lookOf(0) : { userAgent: 'curl/8.5.0', contentType: 'text/plain' };
    const sender = { ...look, ...from(address), startedAt: at };
    const request = (name: keyof typeof STRANGERS): Happening => {
      return { at, kind: 'request', record: refused({ ...sender, ...STRANGERS[name] }), outcome: null };
    };
    const turnedAway = { at, kind: 'turned away', address, outcome: null } as const;
    if (strangers === 'large heads') all.push(request('scans'), request(strangers));
    else if (strangers === 'handshakes') all.push(request('scans'), { ...turnedAway, hint: HANDSHAKE });
    else if (!front || !(isAlike || strangers === 'connections'))
      all.push(strangers === 'connections' ? turnedAway : request(strangers));
  }
  return all;
}
