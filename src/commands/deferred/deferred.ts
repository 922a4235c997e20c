// `deferred`: the deliveries that the app did not take, for the operator. It reads the store beside the running proxy and
// claims nothing; only `deliver` needs the proxy. What the store says is shown unchecked, so a text from it must not
// reach a terminal's control sequences.
import { localUrl } from '../../base/local-url.ts';
import { printable } from '../../base/printable.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { SIZE } from '../../config/units.ts';
import { peekFacts, peekProgress } from '../../redelivery/record.ts';
import { type Entry, ID, type StoredBytes } from '../../redelivery/stores/store.ts';
import { redelivers } from '../../runtime/ruleset.ts';
import { command, usageError } from '../command-line.ts';
import { CONFIG_OPTION, JSON_OPTION } from '../definition.ts';
import { table } from '../text-table.ts';
import { deliver } from './deliver.ts';
import { type Deferred, DeferredError, noSuchId, openVisitor } from './visitor.ts';

export const definition = {
  name: 'deferred',
  usage: '[list | show ID | deliver [ID] | drop ID] [OPTIONS]',
  about: `
Deliveries that the app did not take and that are stored, to be sent again.

list, the default, lists them, the oldest first. show ID prints the body's bytes. drop ID removes one: it is never
sent again. These three read the store, and do not check what is in it: the proxy checks each record before it sends it.

deliver [ID] has the running proxy try one now, or all, and waits until each is gone from the store or was tried. It
ends after a minute in which nothing changes; the proxy goes on.`,
  options: { ...CONFIG_OPTION, ...JSON_OPTION },
  positionals: ['ACTION', 'ID'],
  exits: [
    ['0', 'done'],
    ['1', 'no such ID, no store, no proxy, or not delivered'],
    ['2', 'the command line or the configuration cannot be used'],
  ],
  json: [
    [
      'deliveries',
      'list: each with id, state (waiting, stopped or unreadable), at, bytes, method, path (without the query), secret, attempts, lastTry, lastFailure; times are epoch milliseconds',
    ],
    ['id, state, at, bytes, method, path, secret, attempts, lastTry, lastFailure, body', 'show: the body is base64'],
    [
      'asked, gone, waiting',
      'deliver: how many were to be tried, how many are gone from the store, and the IDs of the others',
    ],
    ['id, dropped', 'drop'],
  ],
} as const;

type Action = (deferred: Deferred, id: string | null) => Promise<number>;

const ACTIONS: Readonly<Record<string, { readonly id: 'none' | 'optional' | 'required'; readonly run: Action }>> = {
  list: { id: 'none', run: list },
  show: { id: 'required', run: (deferred, id) => show(deferred, id ?? '') },
  deliver: { id: 'optional', run: deliver },
  drop: { id: 'required', run: (deferred, id) => drop(deferred, id ?? '') },
};

export const run = command(definition, async ({ values, positionals: [name = 'list', given] }, io) => {
  const [action, id] = chosen(name, given);
  const { config } = await loadConfig({ file: values.config ?? null, env: io.env });
  try {
    if (id !== null && !ID.test(id)) throw noSuchId(id);
    const store = await openVisitor(config, io);
    try {
      const { host, port } = config.admin;
      return await action({ store, admin: localUrl(host, port), json: values.json ?? false, io }, id);
    } finally {
      await store.close();
    }
  } catch (error) {
    io.stderr(`entrupy-signature-proxy deferred: ${whyNot(error, config)}\n`);
    return 1;
  }
});

function chosen(name: string, id: string | undefined): readonly [Action, string | null] {
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) throw usageError('the action must be list, show, deliver or drop');
  if (id === undefined && action.id === 'required') throw usageError(`${name} needs an ID`);
  if (id !== undefined && action.id === 'none') throw usageError(`${name} takes no ID`);
  if (id !== undefined && !/^[a-z0-9-]+$/.test(id)) throw usageError('an ID has only a-z, 0-9 and "-"');
  return [action.run, id ?? null];
}

function whyNot(error: unknown, config: Config): string {
  if (!(error instanceof Error)) throw error;
  if (error instanceof DeferredError) return error.message;
  const unused = redelivers(config) ? '' : '; no route has redeliver';
  return `the store ${config.redelivery.store}: ${error.message}${unused}`;
}

const MAX_PATH = 256;

type Shown = ReturnType<typeof shownOf>;

/** A delivery as the store tells it, unchecked: only the proxy knows which records it would refuse to send. */
function shownOf({ id, at, bytes, progress }: Entry, record: StoredBytes | null) {
  const facts = record === null ? null : peekFacts(record);
  const since = progress === null ? null : peekProgress(progress);
  const [, method = null, path = null] = /^([A-Z-]+) ([^ ?\r\n]*)/.exec(facts?.request.toString('latin1') ?? '') ?? [];
  return {
    id,
    state: facts === null ? 'unreadable' : since?.stopped === true ? 'stopped' : 'waiting',
    at: facts?.at ?? at,
    bytes,
    method,
    path: path === null ? null : printable(path.slice(0, MAX_PATH)),
    secret: facts === null ? null : printable(facts.secret),
    attempts: since?.attempts ?? 0,
    lastTry: since?.tried ?? null,
    lastFailure: since?.failure ?? facts?.failure ?? null,
  };
}

async function list({ store, json, io }: Deferred): Promise<number> {
  const { entries } = await store.list();
  const shown: Shown[] = [];
  // One at a time: their bodies are read, too.
  for (const entry of entries) shown.push(shownOf(entry, await store.read(entry.id)));
  shown.sort((one, other) => one.at - other.at);
  if (json) io.stdout(`${JSON.stringify({ deliveries: shown })}\n`);
  else io.stdout(shown.length === 0 ? 'Nothing is deferred.\n' : listText(shown));
  return 0;
}

function listText(shown: readonly Shown[]): string {
  const rows = shown.map(({ id, at, state, attempts, lastFailure, bytes, method, path }) => [
    id,
    new Date(at).toISOString().replace(/\.\d+Z/, 'Z'),
    state,
    String(attempts),
    lastFailure ?? '-',
    SIZE.format(bytes),
    method === null ? '-' : `${method} ${path}`,
  ]);
  const all = [['id', 'came', 'state', 'attempts', 'last failure', 'bytes', 'request'], ...rows];
  return table(all)
    .map((line) => `${line}\n`)
    .join('');
}

async function show({ store, json, io }: Deferred, id: string): Promise<number> {
  const record = await store.read(id);
  const entry = record !== null && !json ? null : (await store.list()).entries.find((one) => one.id === id);
  if (record === null) {
    if (entry === undefined) throw noSuchId(id);
    throw new DeferredError(`${id} cannot be read: it is no regular file, or larger than maxBody and maxHeader allow`);
  }
  if (!json) io.stdout(record.body);
  else if (entry) io.stdout(`${JSON.stringify({ ...shownOf(entry, record), body: record.body.toString('base64') })}\n`);
  else throw noSuchId(id); // it was taken meanwhile
  return 0;
}

async function drop({ store, json, io }: Deferred, id: string): Promise<number> {
  if (!(await store.drop(id))) throw noSuchId(id);
  io.stdout(json ? `${JSON.stringify({ id, dropped: true })}\n` : `dropped ${id}: it is never sent again\n`);
  return 0;
}
