// `deferred`: the deliveries that the app did not take, for the operator. It reads the store beside the running proxy and
// takes nothing; only `deliver` needs the proxy. What the store says is shown unchecked, so a text from it must not
// reach a terminal's control sequences.

import { dateText, spanText } from '../../admin/advice/times.ts';
import { localUrl } from '../../base/default-places.ts';
import { ignore } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { loadConfig } from '../../config/load.ts';
import { type Entry, ID } from '../../redelivery/stores/store.ts';
import { redelivers } from '../../runtime/ruleset.ts';
import { CONFIG_OPTION, command, JSON_OPTION, table, usageError } from '../command.ts';
import { deliver } from './deliver.ts';
import { type Action, type Deferred, everything, noSuchId, openVisitor } from './visitor.ts';

export const definition = {
  name: 'deferred',
  usage: '[list | show ID | deliver [ID] | drop ID] [OPTIONS]',
  about: `
Deliveries that the app did not take and that are stored, to be sent again.

list, the default, lists them, the oldest first. show ID prints the body's bytes. drop ID removes one, unless it is
being sent just now: it is never sent again. These three read the store, and do not check what is in it: the proxy
checks each record before it sends it.

deliver [ID] has the running proxy try one now, or all, and waits until each is gone from the store or was tried. It
ends at once while the app accepts no connection, and after a minute in which nothing changes; the proxy goes on.`,
  options: { ...CONFIG_OPTION, ...JSON_OPTION },
  positionals: ['ACTION', 'ID'],
  exits: {
    0: 'done',
    1: 'no such ID, one that is being sent, a store that cannot be read, no proxy, or not delivered',
    2: 'the command line or the configuration cannot be used',
  },
  json: {
    deliveries:
      'list: each with id, state (waiting, stopped, unverified or unreadable), at, bytes, method, path (without the query), secret, attempts, lastTry, lastFailure (a status, or the word for why it is not sent), nextTry; times are epoch milliseconds',
    'id, state, at, bytes, method, path, secret, attempts, lastTry, lastFailure, nextTry, body':
      'show: the body is base64',
    'asked, gone, waiting':
      'deliver: how many were to be tried, how many are gone from the store, and the IDs of the others',
    'id, dropped': 'drop',
  },
} as const;

const ACTIONS: Readonly<Record<string, Action>> = { list, show, deliver, drop };

export const run = command(definition, async ({ values, positionals: [name = 'list', id = null] }, io) => {
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) throw usageError('the action must be list, show, deliver or drop');
  if (id === null && (action === show || action === drop)) throw usageError(`${name} needs an ID`);
  if (id !== null && action === list) throw usageError(`${name} takes no ID`);
  if (id !== null && !/^[a-z0-9-]+$/.test(id)) throw usageError('an ID has only a-z, 0-9 and "-"');
  const { config } = await loadConfig({ file: values.config ?? null, env: io.env });
  const { admin: at, redelivery } = config;
  const store = await openVisitor(config, io);
  const deferred = { store, admin: localUrl(at.host, at.port), json: values.json ?? false, io };
  const told = await (id !== null && !ID.test(id)
    ? noSuchId(id)
    : action(deferred, id).catch((error: unknown) => {
        if (!(error instanceof Error)) throw error;
        return `the store ${redelivery.store}: ${error.message}${redelivers(config) ? '' : '; no route has redeliver'}`;
      }));
  await store.close().catch(ignore); // it hangs, which has been told
  if (typeof told === 'number') return told;
  io.stderr(`entrupy-signature-proxy deferred: ${told}\n`);
  return 1;
});

/** A delivery as its note tells it, unchecked. */
function shownOf({ id, state, bytes, wait, note }: Entry) {
  const { at, method, path, secret, attempts, tried, failure } = note ?? NOTHING;
  return {
    id: printable(id),
    state: note === null ? ('unreadable' as const) : state,
    at,
    bytes,
    method: method && printable(method),
    path: path && printable(path),
    secret: secret && printable(secret),
    attempts,
    lastTry: tried || null,
    lastFailure: failure,
    nextTry: state === 'waiting' ? Math.round(Date.now() + Math.max(0, wait)) : null,
  };
}

const NOTHING = { at: null, method: null, path: null, secret: null, attempts: 0, tried: 0, failure: null };

async function list({ store, json, io }: Deferred): Promise<number> {
  const shown = [...(await everything(store)).values()].map(shownOf);
  shown.sort((one, other) => (one.at ?? 0) - (other.at ?? 0));
  if (json) io.stdout(`${JSON.stringify({ deliveries: shown })}\n`);
  else io.stdout(shown.length === 0 ? 'Nothing is deferred.\n' : listText(shown));
  return 0;
}

function listText(shown: readonly ReturnType<typeof shownOf>[]): string {
  const rows = shown.map((one) => {
    const { id, at, state, attempts, lastFailure, bytes, method, path } = one;
    const came = at === null ? '-' : dateText(at);
    const request = method === null ? '-' : `${method} ${path}`;
    return [id, came, state, lastFailure ?? '-', String(attempts), nextText(one), String(bytes), request];
  });
  return `${table([['id', 'came', 'state', 'why', 'attempts', 'next try', 'bytes', 'request'], ...rows]).join('\n')}\n`;
}

function nextText({ nextTry, lastFailure }: ReturnType<typeof shownOf>): string {
  if (nextTry === null) return '-';
  const wait = nextTry - Date.now();
  if (wait > 0) return `in ${spanText(wait)}`;
  return lastFailure === 'connect' ? 'when the app answers' : 'in its turn';
}

async function show({ store, json, io }: Deferred, id: string | null): ReturnType<Action> {
  const record = await store.read(id ?? '');
  // The list is long: it is read only if need be.
  const entry = record !== null && !json ? null : (await everything(store)).get(id ?? '');
  if (entry === undefined) return noSuchId(id);
  if (record === null) return `${id} cannot be read: it is larger than maxBody and maxHeader allow, or not whole`;
  if (entry === null) io.stdout(record.body);
  else io.stdout(`${JSON.stringify({ ...shownOf(entry), body: record.body.toString('base64') })}\n`);
  return 0;
}

async function drop({ store, json, io }: Deferred, id: string | null): ReturnType<Action> {
  const dropped = await store.drop(id ?? '');
  if (dropped === 'absent') return noSuchId(id);
  if (dropped === 'taken') return `${id} is being sent, and the app may take it: try again after that`;
  io.stdout(json ? `${JSON.stringify({ id, dropped: true })}\n` : `dropped ${id}: it is never sent again\n`);
  return 0;
}
