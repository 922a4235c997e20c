// The proxy between fronts and backends that pool connections, with strangers and signers on the same front. Prints a
// table and exits with 1 when a delivery was swallowed, cut, refused or got someone else's answer, when a stranger got
// the answer to a delivery, or when a request that no client sent reached the backend.
//   npm run load:fronts -- --requests 4000 --seconds 300 --front HAProxy --backend aiohttp
// --no-strangers: signers alone. --reference: another program in place of the proxy. Either shows that a fault is the
// proxy's and no front's.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FRONT_KINDS, type FrontKind } from '../servers/fronts.ts';
import { LATE_KINDS, startNodeServer } from '../servers/late-kinds.ts';
import { type RealServer, startServer } from '../servers/real-server.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { type Outcome, SECRET, shareFront } from './shared-front.ts';

export interface FrontsOptions {
  /** Over all pairs of a front and a backend. */
  readonly requests: number;
  /** The most that they may take together. */
  readonly seconds: number;
  /** A text that the names of fronts or backends hold; all unless given. */
  readonly front?: string;
  readonly backend?: string;
  /** 0: signers alone, to see what fronts do by themselves. */
  readonly strangers?: number;
  /** test/servers/reference.mjs in place of the proxy, to see that what is found is the proxy's. */
  readonly reference?: boolean;
}

export interface Row {
  readonly front: string;
  readonly backend: string;
  readonly outcome: Outcome;
  /** Requests at the backend that no client sent. */
  readonly smuggled: number;
  /** Deliveries that the backend got more than once. */
  readonly twice: number;
  /** Deliveries that the backend got although their senders got no answer of theirs. */
  readonly untold: number;
}

interface Load extends Pick<FrontsOptions, 'requests' | 'strangers' | 'reference'> {
  readonly milliseconds: number;
}

interface Backend {
  readonly name: string;
  readonly missing: () => string | null;
  readonly start: () => Promise<RealServer>;
}

const BACKENDS: readonly Backend[] = [
  ...LATE_KINDS.filter(({ name }) => !name.startsWith('WSGI') && name !== 'waitress'),
  { name: 'Node', missing: () => null, start: startNodeServer },
];

/** What `runFronts` would need on this machine. */
export function missingForFronts(): string[] {
  return [...FRONT_KINDS, ...BACKENDS].map(({ missing }) => missing()).filter((what) => what !== null);
}

/** One row for each front and backend, whose names hold the given texts. */
export async function runFronts(options: FrontsOptions, onRow: (row: Row) => void = () => {}): Promise<Row[]> {
  const named = ({ name }: { name: string }, text = '') => name.toLowerCase().includes(text.toLowerCase());
  const pairs = FRONT_KINDS.filter((front) => named(front, options.front)).flatMap((front) =>
    BACKENDS.filter((backend) => named(backend, options.backend)).map((backend) => ({ front, backend })),
  );
  const rows: Row[] = [];
  const requests = Math.ceil(options.requests / pairs.length);
  const milliseconds = (options.seconds * 1000) / pairs.length;
  const { strangers, reference = false } = options;
  for (const { front, backend } of pairs) {
    const load = { requests, milliseconds, reference, ...(strangers !== undefined && { strangers }) };
    const row = await runPair(front, backend, load);
    rows.push(row);
    onRow(row);
  }
  return rows;
}

async function runPair(front: FrontKind, backend: Backend, { milliseconds, reference, ...load }: Load): Promise<Row> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const server = await backend.start();
    stops.unshift(server.stop);
    const middle = await (reference ? startReference(server.port) : startVerifying(server.port));
    stops.unshift(middle.stop);
    const { port, stop } = await front.start(middle.port);
    stops.unshift(stop);
    const outcome = await shareFront(port, { ...load, deadline: performance.now() + milliseconds });
    const seen = (await server.hits()).map((hit) => hit.case);
    const times = new Map<string, number>();
    for (const id of seen) times.set(id, (times.get(id) ?? 0) + 1);
    const arrived = [...times.keys()].filter((id) => id.startsWith('delivery'));
    return {
      front: front.name,
      backend: backend.name,
      outcome,
      smuggled: seen.filter((id) => !outcome.sent.has(id)).length,
      twice: arrived.filter((id) => (times.get(id) ?? 0) > 1).length,
      untold: Math.max(0, arrived.length - outcome.own),
    };
  } finally {
    for (const stop of stops) await stop();
  }
}

const startVerifying = (upstream: number) =>
  startProxy({
    config: {
      upstream: { url: `http://127.0.0.1:${upstream}` },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
      log: { requests: 'none' },
    },
    secrets: { current: SECRET },
  });

const startReference = (upstream: number) => startServer([process.execPath, 'reference.mjs', String(upstream)]);

/** Everything that must not happen in a row, by name. */
export function spoiledIn({ outcome, smuggled, twice }: Row): Record<string, number> {
  const { swallowed, foreign, bad, cut, leaked } = outcome;
  return { swallowed, foreign, bad, cut, leaked, smuggled, twice };
}

const COLUMNS = [
  'requests',
  'deliveries',
  'own',
  'swallowed',
  'foreign',
  '400',
  'cut',
  'leaked',
  'smuggled',
  'twice',
  'untold',
];

export function tableHead(): string {
  return ['front'.padEnd(8), 'backend'.padEnd(22), ...COLUMNS.map((name) => name.padStart(10))].join(' ');
}

export function tableLine({ front, backend, outcome, smuggled, twice, untold }: Row): string {
  const { requests, deliveries, own, swallowed, foreign, bad, cut, leaked } = outcome;
  const figures = [requests, deliveries, own, swallowed, foreign, bad, cut, leaked, smuggled, twice, untold];
  const texts = [...outcome.texts].map(([text, count]) => `\n    ${count} × ${text}`).join('');
  return (
    [front.padEnd(8), backend.padEnd(22), ...figures.map((figure) => String(figure).padStart(10))].join(' ') + texts
  );
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '1800' },
      front: { type: 'string' },
      backend: { type: 'string' },
      'no-strangers': { type: 'boolean', default: false },
      reference: { type: 'boolean', default: false },
    },
  });
  const { front, backend } = values;
  console.log(tableHead());
  const options = {
    requests: Number(values.requests),
    seconds: Number(values.seconds),
    reference: values.reference,
    ...(front !== undefined && { front }),
    ...(backend !== undefined && { backend }),
    ...(values['no-strangers'] && { strangers: 0 }),
  };
  const rows = await runFronts(options, (row) => console.log(tableLine(row)));
  const sum: Record<string, number> = {};
  for (const row of rows) {
    for (const [name, count] of Object.entries(spoiledIn(row))) sum[name] = (sum[name] ?? 0) + count;
  }
  const total = (look: (outcome: Outcome) => number) => rows.reduce((all, { outcome }) => all + look(outcome), 0);
  console.log(`${total((it) => it.requests)} requests, ${total((it) => it.deliveries)} deliveries:`, sum);
  const good = Object.values(sum).every((count) => count === 0);
  console.log(good ? 'good' : 'BAD: what strangers sent spoiled deliveries');
  return good ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
