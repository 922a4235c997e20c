// `deferred`: the deliveries that the app did not take, for the operator. It reads the store while the proxy uses it,
// and claims nothing; only `deliver` needs the proxy. What it shows is unverified, so it must never control the terminal.
import { setTimeout as delay } from 'node:timers/promises';
import { localUrl } from '../base/default-places.ts';
import { ignore } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { routesOf } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { redelivers } from '../core/routes.ts';
import { lossStatus, turnOf } from '../facts.ts';
import { DIAGNOSES } from '../health/diagnoses.ts';
import { count } from '../health/sentences.ts';
import { dateText, spanText } from '../health/times.ts';
import { ALL_WHYS, mostBytes, splitRecord } from '../redelivery/record.ts';
import { openStore } from '../redelivery/stores/open-store.ts';
import { type Changed, type DeferredStore, type Entry, pagesOf } from '../redelivery/stores/store.ts';
import { readPasswordFile } from '../secrets/sources.ts';
import { command, type Io } from './command.ts';
import { usageError } from './options.ts';
import { ask, askStatus } from './running-proxy.ts';

const LOOK_MS = 500;
/** Milliseconds without an answer or a change after which `deliver` ends; the proxy goes on. A hundred thousand take seconds. */
const STILL_MS = 60_000;

interface Deferred {
  readonly store: DeferredStore;
  /** The store's directory or URL. A person who forgot --config sees by it that this is another store. */
  readonly place: string;
  readonly admin: URL;
  /** Receives what is shown before all of it is known, and a line for each change that `deliver` sees. */
  readonly io: Pick<Io, 'stdout' | 'stderr'>;
  readonly isJson: boolean;
  readonly sends: boolean;
}

/** The result of an action: `json` with --json, else `text`. A string ends the JSON that was shown early. */
type Done = { readonly json: object | string; readonly text: string | Uint8Array; readonly code?: 1 };

/** `id`: empty for all deliveries. Returns the reason if nothing could be done. Rejects if the store fails. */
type Action = (deferred: Deferred, id: string) => Promise<Done | string>;

const ACTIONS = new Map<string, Action>(Object.entries({ list, show, deliver, drop, 'drop --expired': dropExpired }));

export const run = command('deferred', async ({ values, positionals: [word = 'list', id = ''] }, io) => {
  const name = values.expired === true ? `${word} --expired` : word;
  const action = ACTIONS.get(name);
  if (action === undefined) throw usageError('the action must be list, show, deliver or drop');
  if (id === '' && (action === show || action === drop)) throw usageError(`${name} needs an ID`);
  if (id !== '' && (action === list || action === dropExpired)) throw usageError(`${name} takes no ID`);
  if (!/^[a-z0-9-]*$/.test(id)) throw usageError('an ID has only a-z, 0-9 and "-"');
  const { config } = await loadConfig({ file: values.config ?? null, env: io.env });
  const { admin: at, redelivery, limits } = config;
  const remark = (message: string) => io.stderr(`warning: ${message}\n`);
  const opening = { as: 'visitor', largestRecord: () => mostBytes(limits.maxHeader, routesOf(config)) } as const;
  const readPassword = (file: string) => readPasswordFile('redelivery', file);
  const store = await openStore({ ...redelivery, ...opening, readPassword, onLoss: remark, onProblem: ignore });
  const isJson = values.json === true;
  const sends = redelivers(config);
  const deferred = { store, place: redelivery.store, admin: localUrl(at.host, at.port), io, isJson, sends };
  const done = await action(deferred, id).catch((error: Error) => {
    return `the store ${redelivery.store}: ${error.message}${sends ? '' : '; no route has redeliver'}`;
  });
  await store.close().catch(ignore); // the action is over, so a failure to close no longer matters
  if (typeof done === 'string') {
    io.stderr(`entrupy-signature-proxy deferred: ${done}\n`);
    return 1;
  }
  const { json } = done;
  io.stdout(isJson ? `${typeof json === 'string' ? json : jsonOf(json)}\n` : done.text);
  return done.code ?? 0;
});

const nothingIn = (place: string) => `Nothing is deferred in ${place}.\n`;
const noSuchId = (id: string) => `nothing is deferred under the ID ${id}`;

/**
 * The delivery with this ID, or every stored one (a page may repeat what another one had), each with a number that an
 * attempt changes, or null while what a person asked for is not done: no more is kept, so that a hundred thousand fit into
 * the image's heap.
 */
async function attemptsOf(store: DeferredStore, id: string): Promise<ReadonlyMap<string, number | null>> {
  const attempts = new Map<string, number | null>();
  const pages = id === '' ? pagesOf(store) : [[await store.find(id)].filter((entry) => entry !== null)];
  for await (const page of pages)
    for (const { id, note, asked } of page) attempts.set(id, asked ? null : (note?.attempts ?? 0) + (note?.tried ?? 0));
  return attempts;
}

/** A delivery as its note describes it, unverified. */
function shownOf({ id, state, bytes, wait, asked, leased, note }: Entry, sends: boolean) {
  return {
    id,
    state: note === null ? ('unreadable' as const) : state,
    at: note?.came ?? null,
    bytes,
    method: note?.method ?? null,
    path: note?.path ?? null,
    secret: note?.secret ?? null,
    attempts: note?.attempts ?? null,
    lastTry: note?.tried || null,
    lastFailure: note?.failure ?? null,
    ...turnOf({ state, asked, leased }, Date.now() + Math.max(0, wait), sends),
  };
}

/** Shows each page as it comes: a store may hold a hundred thousand, and all of them together exceed a small heap. */
async function list({ store, place, io, isJson, sends }: Deferred): Promise<Done> {
  let isFirst = true;
  for await (const page of pagesOf(store)) {
    const shown = page.map((entry) => shownOf(entry, sends));
    if (isJson) io.stdout(`${isFirst ? OPENING : ','}${shown.map(jsonOf).join()}`);
    else io.stdout(`${isFirst ? lineOf(HEADINGS) : ''}${shown.map((delivery) => lineOf(cellsOf(delivery))).join('')}`);
    isFirst = false;
  }
  const lost = (await store.losses()).map(lossStatus);
  const rows = lost.map(({ at, id, route, came, attempts, lastFailure, why, events }) => {
    const name = id || `${events === null ? 'events' : count(events, 'event')} whose ids are not known`;
    return [name, timeText(came), why, lastFailure || '-', `${attempts ?? '-'}`, timeText(at), route ?? '-'];
  });
  const lines = [['id', 'came', 'why', 'answer', 'attempts', 'lost', 'route'], ...rows].map(lineOf).join('');
  const nothing = isFirst ? nothingIn(place) : '';
  return {
    json: `${isFirst ? OPENING : ''}],"lost":${jsonOf(lost)}}`,
    text: lost.length === 0 ? nothing : `${nothing}\n${lines}`,
  };
}

/** Escapes what a terminal would obey: the JSON keeps its meaning. */
const jsonOf = (value: unknown) => printable(JSON.stringify(value));
const OPENING = '{"deliveries":[';
const HEADINGS = ['id', 'came', 'state', 'why', 'attempts', 'next try', 'bytes', 'request'];
/** The widths of all columns but the last: the first line is shown before the others are known. */
const WIDTHS = [49, 20, 10, 12, 8, 20, 8];

function lineOf(cells: readonly string[]): string {
  const line = cells.map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0)).join('  ');
  return `${printable(line.trimEnd())}\n`;
}

const timeText = (at: number | null) => (at === null ? '-' : dateText(at));

function cellsOf(delivery: ReturnType<typeof shownOf>): readonly string[] {
  const { id, at, state, attempts, lastFailure, bytes, method, path } = delivery;
  const request = method === null ? '-' : `${method} ${path}`;
  return [id, timeText(at), state, lastFailure ?? '-', `${attempts ?? '-'}`, nextText(delivery), `${bytes}`, request];
}

function nextText({ nextTry, keptUntil, lastFailure, sending }: ReturnType<typeof shownOf>): string {
  if (sending) return 'being sent';
  if (keptUntil !== null) return `kept for ${spanText(Math.max(0, keptUntil - Date.now()))}`;
  if (nextTry === null) return '-';
  const wait = nextTry - Date.now();
  if (wait > 0) return `in ${spanText(wait)}`;
  return lastFailure === 'connect' ? 'when the app answers' : 'in its turn';
}

async function show({ store, sends }: Deferred, id: string): ReturnType<Action> {
  const entry = await store.find(id);
  if (entry === null) return noSuchId(id);
  const record = entry.record && splitRecord(entry.record);
  if (record === null) return `${id} cannot be read: it is larger than maxBody and maxHeader allow, or not whole`;
  return { json: { ...shownOf(entry, sends), body: record[1].toString('base64') }, text: record[1] };
}

async function drop({ store }: Deferred, id: string): ReturnType<Action> {
  const [dropped] = await store.change([{ id, to: 'dropped' }]);
  if (dropped === 'absent') return noSuchId(id);
  if (dropped === 'leased') return `${id} is being sent, or is next to be: try again after that`;
  return { json: { id, dropped: true }, text: `dropped ${id}: it is never sent again\n` };
}

async function dropExpired({ store }: Deferred): ReturnType<Action> {
  const ends: Changed[] = [];
  for await (const page of pagesOf(store, ({ state }) => state === 'expired'))
    ends.push(...(await store.change(page.map(({ id }) => ({ id, to: 'dropped' })))));
  const count = (end: Changed) => ends.filter((each) => each === end).length;
  const json = { dropped: count('done'), sending: count('leased') };
  const text = `dropped ${json.dropped}: never sent again\n`;
  if (json.sending === 0) return { json, text };
  return { json, text: `${text}${json.sending} are being sent, or next to be\n`, code: 1 };
}

/** Has the running proxy, which alone sends, try deferred deliveries now, at its own pace. */
async function deliver(deferred: Deferred, id: string): ReturnType<Action> {
  const { store, place, admin } = deferred;
  const chosen = await attemptsOf(store, id);
  if (id !== '' && chosen.size === 0) return noSuchId(id);
  if (chosen.size === 0) return { json: { asked: 0, gone: 0, waiting: [] }, text: nothingIn(place) };
  const url = new URL(id === '' ? '/-/redeliver' : `/-/redeliver?id=${id}`, admin);
  const { status, text } = await ask({ url, body: Buffer.alloc(0), timeout: STILL_MS });
  if (status === null) return `no answer from the proxy at ${admin.href}: ${text}`;
  if (status === 409) return 'nothing is sent while no route has redeliver';
  if (status !== 200) return `the proxy at ${admin.href} answered ${status} ${text}`;
  const { waiting, end } = await watch(deferred, id, chosen);
  const gone = chosen.size - waiting.length;
  const json = { asked: chosen.size, gone, waiting };
  const summary = `${gone} of ${chosen.size} ${gone === 1 ? 'is' : 'are'} gone from the store`;
  if (waiting.length === 0) return { json, text: `${summary}: taken by the app, or dropped.\n` };
  return { json, text: `${summary}; ${end}. What waits is tried again, what is kept stays.\n`, code: 1 };
}

/** Waits until each delivery is gone or had its turn, or nothing changes. Returns the remaining ids, and why the wait ended. */
async function watch({ store, admin, io }: Deferred, id: string, chosen: ReadonlyMap<string, number | null>) {
  for (let lastText = '', changed = 0; ; ) {
    const began = Date.now();
    const now = await attemptsOf(store, id);
    const waiting = [...chosen.keys()].filter((id) => now.has(id));
    const tried = waiting.filter((id) => now.get(id) !== null && now.get(id) !== chosen.get(id));
    const text = `${chosen.size - waiting.length} of ${chosen.size} gone, ${tried.length} not taken\n`;
    if (text !== lastText) {
      io.stderr(text);
      [lastText, changed] = [text, began];
    }
    const isOver = tried.length === waiting.length;
    const end = isOver ? 'each of the others had its turn' : changed < began && (await standstill(admin, changed));
    if (end) {
      const failure = (await store.find(tried.at(-1) ?? ''))?.note?.failure ?? '';
      const remedy = ALL_WHYS.has(failure) ? `. ${DIAGNOSES['deferred-unverified'].remedy.replace(/\.$/, '')}` : '';
      const what = remedy === '' ? 'failure' : 'one may not be sent';
      return { waiting, end: failure === '' ? end : `${end}; the last ${what}: ${failure}${remedy}` };
    }
    // Reading a long list burdens the proxy's disk or Redis, so it may take at most a tenth of the time.
    await delay(Math.max(LOOK_MS, 10 * (Date.now() - began)));
  }
}

/** Why no further change is to be expected; null if one is. */
async function standstill(admin: URL, changed: number): Promise<string | null> {
  const status = await askStatus(admin);
  const app = typeof status === 'string' ? null : status.upstream; // null: the proxy does not say
  if (app?.reachable === false) return `the app accepts no connection (${printable(`${app.error}`)})`;
  return Date.now() - changed < STILL_MS ? null : `nothing changed for ${STILL_MS / 1000} s`;
}
