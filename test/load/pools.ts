// A client process with a pool of kept connections, of the kind that its first argument names (JSON). It reads commands
// on stdin, a line each: `port N`, where new connections go from now on; `fill`, which opens what is not open and answers
// `filled`; `stop`, which answers with a report (JSON). drains.ts starts it.
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { buildConnector, Pool } from 'undici';
import { type PooledLoad, type PoolOptions, startPooledLoad } from '../support/load/pooled-load.ts';

export interface ClientOptions {
  readonly kind: string;
  readonly port: number;
  readonly connections: number;
  /** Requests a second. */
  readonly rate: number;
  readonly signature: string;
  readonly body: string;
  /** Milliseconds for which the client is busy with something else, ten times a second. */
  readonly busy: number;
}

const RAW: Readonly<Record<string, Partial<PoolOptions>>> = {
  random: { gaps: 'random' },
  own: { gaps: 'own' },
  oldest: { gaps: 'random', pick: 'oldest' },
  newest: { gaps: 'random', pick: 'newest' },
  deaf: { gaps: 'random', looks: 'never' },
  tls: { gaps: 'random', tls: true },
};

type Ask = (port: () => number) => () => Promise<string>;

/** A pool of a library; `ask` returns a status or an error's code. */
function libraryLoad(options: ClientOptions, makeAsk: Ask): PooledLoad {
  const ends: Record<string, number> = {};
  let { port } = options;
  let stopped = false;
  const pending = new Set<Promise<void>>();
  const ask = makeAsk(() => port);
  const use = () => {
    const work = ask().then((end) => {
      ends[end] = (ends[end] ?? 0) + 1;
      pending.delete(work);
    });
    pending.add(work);
  };
  const next = () => {
    if (stopped) return;
    setTimeout(next, (-Math.log(1 - Math.random()) * 1000) / options.rate);
    use();
  };
  next();
  return {
    idle: () => Number.NaN,
    stopOpening: () => {},
    moveTo: (to) => {
      port = to;
    },
    fill: async () => {
      for (let nth = 0; nth < options.connections; nth++) use();
      await Promise.all(pending);
    },
    stop: async () => {
      stopped = true;
      await Promise.all(pending);
      const { ECONNREFUSED: refused = 0, ...others } = ends;
      return { ends: others, refused, endedIdle: Number.NaN };
    },
  };
}

const codeOf = (error: NodeJS.ErrnoException) => error.code ?? error.message;

function undiciPool({ connections, signature, body }: ClientOptions, idle: object): Ask {
  return (port) => {
    const base = buildConnector({});
    const pool = new Pool('http://127.0.0.1:1', {
      connections,
      ...idle,
      connect: (at, callback) => base({ ...at, port: String(port()) }, callback),
    });
    return async () => {
      try {
        const headers = { 'entrupy-signature': signature };
        const response = await pool.request({ method: 'POST', path: '/notify', headers, body });
        await response.body.dump();
        return String(response.statusCode);
      } catch (error) {
        return codeOf(error as NodeJS.ErrnoException);
      }
    };
  };
}

function httpAgent({ connections, signature, body }: ClientOptions, scheduling: 'lifo' | 'fifo'): Ask {
  return (port) => {
    const agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections, scheduling });
    agent.createConnection = () => connect({ port: port(), host: '127.0.0.1', noDelay: true });
    const headers = { 'Entrupy-Signature': signature, 'Content-Length': body.length };
    const wish = { agent, host: '127.0.0.1', port: 1, method: 'POST', path: '/notify', headers };
    return () =>
      new Promise((resolve) => {
        const sending = httpRequest(wish, (response) => {
          response.once('error', (error) => resolve(codeOf(error)));
          response.once('end', () => resolve(String(response.statusCode))).resume();
        });
        sending.once('error', (error) => resolve(codeOf(error)));
        sending.end(body);
      });
  };
}

function start(options: ClientOptions): Promise<PooledLoad> | PooledLoad {
  const { kind, port, connections, rate, signature, body } = options;
  const request = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${signature}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const raw = RAW[kind];
  if (raw !== undefined) return startPooledLoad({ port, connections, rate, request, ...raw });
  if (kind === 'undici') return libraryLoad(options, undiciPool(options, {}));
  if (kind === 'undici-long') return libraryLoad(options, undiciPool(options, { keepAliveTimeout: 600_000 }));
  if (kind === 'agent') return libraryLoad(options, httpAgent(options, 'lifo'));
  if (kind === 'agent-fifo') return libraryLoad(options, httpAgent(options, 'fifo'));
  throw new Error(`no such kind: ${kind}`);
}

const options = JSON.parse(process.argv[2] ?? '') as ClientOptions;
const load = await start(options);
if (options.busy > 0)
  setInterval(() => {
    for (const until = performance.now() + options.busy; performance.now() < until; );
  }, 100);
console.log('started');
for await (const line of createInterface(process.stdin)) {
  const [word, value] = line.split(' ');
  if (word === 'port') load.moveTo(Number(value));
  if (word === 'fill') console.log(await load.fill().then(() => 'filled'));
  if (word === 'stop') {
    console.log(JSON.stringify(await load.stop()));
    process.exit(0);
  }
}
process.exit(1); // drains.ts is gone
