// Measures cells: each repetition of a cell is a fresh process, warmed up, loaded and stopped. Repetitions go round all
// cells in turn, every second time backwards, so disturbances of the machine affect all cells alike.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fill, type Site, type Subject } from '../subjects.ts';
import { limitCpu } from './cpu-limit.ts';
import { launch, post, type Running } from './launch.ts';
import { type Load, Traffic } from './load.ts';
import { openOtherSockets } from './other-sockets.ts';
import { cpuMicros, residentMib } from './process.ts';
import { startRedis } from './redis.ts';
import type { Sample } from './samples.ts';

/** One subject under one load. */
export interface Cell {
  readonly subject: Subject;
  readonly load: Load;
}

/** The samples of every cell, in the order of the repetitions. */
export class Results {
  readonly #samples = new Map<string, Sample[]>();

  add({ subject, load }: Cell, sample: Sample): void {
    const key = keyOf(subject, load);
    const samples = this.#samples.get(key);
    if (samples === undefined) this.#samples.set(key, [sample]);
    else samples.push(sample);
  }

  /** Empty for a cell that was not measured. */
  of(subject: Subject, load: Load): readonly Sample[] {
    return this.#samples.get(keyOf(subject, load)) ?? [];
  }
}

export function keyOf(subject: Subject, load: Load): string {
  const {
    size,
    connections,
    signed,
    rate,
    bodies = 1,
    fresh = '',
    path = '',
    lines = '',
    others = 0,
    millicores = 1000,
  } = load;
  return [subject.name, size, connections, signed, rate, bodies, fresh, path, lines, others, millicores].join(' ');
}

export interface Pace {
  /** The minimum; see `#warm`. */
  readonly warmSeconds: number;
  readonly seconds: number;
  readonly repetitions: number;
}

const SETTLE_MS = 500;
/** V8 still compiles after ten thousand requests; the last compilation comes at about forty thousand. */
const WARM_REQUESTS = 30_000;
const WARM_TURNS = 3;
/** 2,000 requests at 100 a second. */
const FRESH_SECONDS = 20;

export class Bench {
  readonly #directory: string;
  readonly #traffic: Traffic;
  readonly #upstreamPort: number;
  readonly #upstream: Running;
  #serial = 0;

  private constructor(directory: string, traffic: Traffic, upstream: { port: number; running: Running }) {
    this.#directory = directory;
    this.#traffic = traffic;
    this.#upstreamPort = upstream.port;
    this.#upstream = upstream.running;
  }

  static async open(): Promise<Bench> {
    const directory = mkdtempSync(join(tmpdir(), 'entrupy-proxy-bench-'));
    const traffic = new Traffic(directory);
    const port = await freePort();
    const site: Site = { directory, port: 0, upstreamPort: port, secrets: [], size: 0, connections: 0 };
    const program = { command: 'nginx', args: ['-c', fill('upstream.conf', site)] };
    const running = await launch(program, { directory, port, first: traffic.post(1024, '', 'unsigned'), core: null });
    return new Bench(directory, traffic, { port, running });
  }

  async close(): Promise<void> {
    await this.#upstream.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async measure(cells: readonly Cell[], pace: Pace, tell: (line: string) => void): Promise<Results> {
    const results = new Results();
    for (let turn = 0; turn < pace.repetitions; turn++) {
      for (const cell of turn % 2 === 0 ? cells : cells.toReversed()) {
        const sample = await this.#sample(cell, pace);
        results.add(cell, sample);
        tell(line(cell, sample, `${turn + 1}/${pace.repetitions}`));
      }
    }
    return results;
  }

  async #sample(cell: Cell, pace: Pace): Promise<Sample> {
    const others = cell.load.others === undefined ? null : await openOtherSockets(cell.load.others);
    return this.#sampleAlone(cell, pace).finally(() => others?.close());
  }

  async #sampleAlone(cell: Cell, pace: Pace): Promise<Sample> {
    const directory = join(this.#directory, String(++this.#serial));
    mkdirSync(directory);
    if (cell.subject.once !== 'redis') return this.#sampleWith(cell, pace, { directory, store: cell.subject.once });
    const redis = await startRedis({ directory, port: await freePort() });
    const used = () => cpuMicros(redis.pid);
    return this.#sampleWith(cell, pace, { directory, store: redis.url, used }).finally(() => redis.stop());
  }

  async #sampleWith(
    { subject, load }: Cell,
    { warmSeconds, seconds }: Pace,
    // `used`: CPU microseconds of the store's own process so far.
    { directory, store, used: usedByStore }: { directory: string; store: string | undefined; used?: () => number },
  ): Promise<Sample> {
    this.#traffic.rewind();
    const secrets = this.#traffic.secrets.slice(0, subject.secrets);
    const secret = secrets.at(-1) ?? '';
    const { size, connections } = load;
    const site: Site = {
      directory,
      port: await freePort(),
      upstreamPort: this.#upstreamPort,
      secrets,
      size,
      connections,
      ...(store === undefined ? {} : { store }),
    };
    const program = subject.program(site);
    const port = program === null ? this.#upstreamPort : site.port;
    const first = this.#traffic.post(1024, secret, 'signed');
    const limit = load.millicores === undefined ? null : limitCpu(load.millicores);
    const running = program === null ? null : await launch(program, { directory, port, first, limit });
    try {
      // A process that is measured fresh must have seen only the request that waited for its start.
      if (subject.verifies && load.fresh === undefined) await this.#prove({ subject, load }, port, secret);
      await sleep(SETTLE_MS);
      const rssIdle = running === null ? 0 : residentMib(running.pid);
      if (load.fresh === undefined) await this.#warm(load, { port, secret, seconds: warmSeconds });
      const before = running === null ? 0 : cpuMicros(running.pid);
      const storeBefore = usedByStore?.() ?? 0;
      const outcome = await this.#traffic.wrk(load, { port, secret, seconds: secondsOf(load, seconds) });
      const used = running === null ? 0 : cpuMicros(running.pid) - before;
      const usedThere = usedByStore === undefined ? null : usedByStore() - storeBefore;
      const expected = isRefused({ subject, load }) ? outcome.requests : 0;
      if (outcome.notOk !== expected || outcome.requests === 0) {
        throw new Error(`${subject.name}: ${outcome.notOk} of ${outcome.requests} refused, not ${expected}`);
      }
      return {
        requestsPerSecond: (outcome.requests / outcome.micros) * 1e6,
        p50Millis: outcome.p50 / 1000,
        p99Millis: outcome.p99 / 1000,
        cpuMicros: used / outcome.requests,
        rssIdle,
        rssAfter: running === null ? 0 : residentMib(running.pid),
        startMillis: running?.startMillis ?? 0,
        broken: outcome.broken,
        ...(usedThere === null ? {} : { storeMicros: usedThere / outcome.requests }),
      };
    } finally {
      await running?.stop();
      limit?.remove();
    }
  }

  /**
   * Runs at full speed until the process has had enough requests to be compiled: on a busy machine seconds alone say
   * little.
   */
  async #warm(load: Load, to: { port: number; secret: string; seconds: number }): Promise<void> {
    let requests = 0;
    for (let turn = 0; turn < WARM_TURNS && requests < WARM_REQUESTS; turn++) {
      requests += (await this.#traffic.wrk({ ...load, rate: null }, to)).requests;
    }
  }

  /**
   * A subject that accepts what it should refuse, or answers itself what it should forward, gives a meaningless figure.
   */
  async #prove({ subject, load: { size, bodies = 1 } }: Cell, port: number, secret: string): Promise<void> {
    const signed = bodies === 1 ? this.#traffic.post(size, secret, 'signed') : this.#traffic.next(size, secret);
    const good = await post(port, signed);
    if (good.status !== 200) throw new Error(`${subject.name} refuses a signed body of ${size} bytes: ${good.status}`);
    const forwarded = (head: string) => /^x-answered-by: upstream$/im.test(head);
    if (subject.forwards && !forwarded(good.head)) throw new Error(`${subject.name} did not forward:\n${good.head}`);
    if (subject.once !== undefined && forwarded((await post(port, signed)).head)) {
      throw new Error(`${subject.name} forwarded the same again`);
    }
    for (const kind of ['tampered', 'unsigned'] as const) {
      const { status } = await post(port, this.#traffic.post(size, secret, kind));
      if (status !== 401 && status !== 403) throw new Error(`${subject.name} answers a ${kind} body with ${status}`);
    }
  }
}

function isRefused({ subject, load }: Cell): boolean {
  return subject.verifies && !load.signed && load.path === undefined;
}

/** Large bodies are few: unfinished ones at the end would weigh too much in a short run. */
function secondsOf({ fresh, size }: Load, seconds: number): number {
  if (fresh !== undefined) return FRESH_SECONDS;
  return size >= 2 ** 20 ? 2 * seconds : seconds;
}

function line({ subject, load }: Cell, sample: Sample, turn: string): string {
  const what = `${load.size} B, ${load.connections} connections${load.signed ? '' : ', unsigned'}${load.path === undefined ? '' : ', forwarded'}${load.fresh === undefined ? '' : `, fresh, ${load.fresh} connections`}${load.others === undefined ? '' : `, ${load.others} other sockets`}${load.millicores === undefined ? '' : `, ${load.millicores}m`}${load.bodies === undefined ? '' : `, ${load.bodies} bodies`}`;
  const broken = sample.broken === 0 ? '' : ` (${sample.broken} broken)`;
  return `${turn} ${subject.name}, ${what}: ${sample.cpuMicros.toFixed(1)} µs, ${Math.round(sample.requestsPerSecond)}/s${broken}`;
}

/** A port that is free now. If another process takes it first, the subject's start fails, and the run with it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
