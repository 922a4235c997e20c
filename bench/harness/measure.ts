// Measures cells. Subjects of one load live side by side and take bursts of it in turn, so that a machine whose speed
// drifts slows them all alike; where a fresh process is measured, each run is one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRedis } from '../../test/support/once/redis.ts';
import { fill, type Site, type Subject } from '../subjects.ts';
import { limitCpu } from './cpu-limit.ts';
import { launch, post, type Running } from './launch.ts';
import { type Load, Traffic } from './load.ts';
import { openOtherSockets } from './other-sockets.ts';
import { cpuMicros, residentMib } from './process.ts';
import type { Sample } from './samples.ts';

/** One subject under one load. */
export interface Cell {
  readonly subject: Subject;
  readonly load: Load;
}

/** The samples of every cell, in the order of the turns. */
export class Results {
  readonly #samples = new Map<string, Sample[]>();
  /** The loads that were not measured, and why: the report says so, and the run fails at its end. */
  readonly failures: string[] = [];

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
  return `${subject.name} ${loadKey(load)}`;
}

function loadKey(load: Load): string {
  const {
    size,
    connections,
    signed,
    wrong = false,
    rate,
    bodies = 1,
    fresh = '',
    path = '',
    lines = '',
    others = 0,
    millicores = 1000,
  } = load;
  return [size, connections, signed, wrong, rate, bodies, fresh, path, lines, others, millicores].join(' ');
}

export interface Pace {
  /** The minimum; see `#warm`. */
  readonly warmSeconds: number;
  /** Of one burst. */
  readonly seconds: number;
  /** Bursts of each subject under each load. */
  readonly turns: number;
  /** Fresh processes of each subject, where one is measured from its first request on. */
  readonly freshRuns: number;
}

type Measured = (readonly [Cell, Sample])[];

const SETTLE_MS = 500;
/** V8 still compiles after ten thousand requests; the last compilation comes at about forty thousand. */
const WARM_REQUESTS = 30_000;
const WARM_TURNS = 3;
/** 2,000 requests at 100 a second. */
const FRESH_SECONDS = 20;
/** One start says little on a machine that others use. */
const STARTS = 12;

/** A subject that runs. */
interface Alive {
  readonly cell: Cell;
  readonly port: number;
  readonly secret: string;
  readonly rssIdle: number;
  readonly startMillis: number;
  /** CPU microseconds so far, and resident memory in MiB; zeros for the upstream itself. */
  used(): { readonly own: number; readonly store: number | null; readonly rss: number };
  stop(): Promise<void>;
}

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

  /** A load that fails twice costs only its own figures: a run takes too long to lose those of the others. */
  async measure(cells: readonly Cell[], pace: Pace, tell: (line: string) => void): Promise<Results> {
    const results = new Results();
    for (const [load, group] of Map.groupBy(cells, ({ load }) => loadKey(load))) {
      const isFresh = group[0]?.load.fresh !== undefined;
      const measured = () => (isFresh ? this.#fresh(group, pace, tell) : this.#inTurn(group, pace, tell));
      try {
        for (const [cell, sample] of await twice(measured, tell)) results.add(cell, sample);
      } catch (error) {
        results.failures.push(`${load}: ${error instanceof Error ? error.message : error}`);
      }
    }
    return results;
  }

  /** All subjects of one load live at once, and take their bursts in turn, every second time backwards. */
  async #inTurn(group: readonly Cell[], pace: Pace, tell: (line: string) => void): Promise<Measured> {
    const alive: Alive[] = [];
    const measured: Measured = [];
    try {
      for (const cell of group) {
        const subject = await this.#start(cell);
        alive.push(subject);
        await this.#warm(subject, pace.warmSeconds);
      }
      for (let turn = 0; turn < pace.turns; turn++) {
        for (const subject of turn % 2 === 0 ? alive : alive.toReversed()) {
          const { cell } = subject;
          const sample = await this.#burst(subject, secondsOf(cell.load, pace.seconds));
          measured.push([cell, sample]);
          tell(line(cell, sample));
        }
      }
      return measured;
    } finally {
      await Promise.all(alive.map((subject) => subject.stop()));
    }
  }

  async #fresh(group: readonly Cell[], { freshRuns }: Pace, tell: (line: string) => void): Promise<Measured> {
    const measured: Measured = [];
    const runs = group[0]?.load.fresh === 'start' ? STARTS : freshRuns;
    for (let run = 0; run < runs; run++) {
      for (const cell of run % 2 === 0 ? group : group.toReversed()) {
        const sample = await twice(() => this.#freshRun(cell), tell);
        measured.push([cell, sample]);
        tell(line(cell, sample));
      }
    }
    return measured;
  }

  async #freshRun(cell: Cell): Promise<Sample> {
    const others = cell.load.others === undefined ? null : await openOtherSockets(cell.load.others);
    try {
      const subject = await this.#start(cell);
      try {
        return cell.load.fresh === 'start' ? startOf(subject) : await this.#burst(subject, FRESH_SECONDS);
      } finally {
        await subject.stop();
      }
    } finally {
      await others?.close();
    }
  }

  async #start(cell: Cell): Promise<Alive> {
    const { subject, load } = cell;
    const directory = join(this.#directory, String(++this.#serial));
    mkdirSync(directory);
    const redis = subject.once === 'redis' ? await startRedis('redis-server', { directory }) : null;
    const secrets = this.#traffic.secrets.slice(0, subject.secrets);
    const { size, connections, millicores } = load;
    const store = redis?.url ?? subject.once;
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
    const secret = secrets.at(-1) ?? '';
    const limit = millicores === undefined ? null : limitCpu(millicores);
    let running: Running | null = null;
    const stop = async () => {
      await running?.stop();
      limit?.remove();
      await redis?.kill();
    };
    try {
      const first = this.#traffic.post(1024, secret, 'signed');
      if (program !== null) running = await launch(program, { directory, port, first, limit });
      const { pid, startMillis } = running ?? { pid: null, startMillis: 0 };
      // A process that is measured fresh must have seen only the request that waited for its start.
      if (subject.verifies && load.fresh === undefined) await this.#prove(cell, port, secret);
      await sleep(SETTLE_MS);
      const used = () => ({
        own: pid === null ? 0 : cpuMicros(pid),
        store: redis === null ? null : cpuMicros(redis.pid()),
        rss: pid === null ? 0 : residentMib(pid),
      });
      return { cell, port, secret, rssIdle: used().rss, startMillis, used, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async #burst(alive: Alive, seconds: number): Promise<Sample> {
    const { cell, rssIdle, startMillis } = alive;
    const before = alive.used();
    const outcome = await this.#traffic.wrk(cell.load, { port: alive.port, secret: alive.secret, seconds });
    const after = alive.used();
    const expected = isRefused(cell) ? outcome.requests : 0;
    // Of 256 bodies of 1 MiB a slow peer may finish none within a second: its CPU a request is infinite then.
    const isStuck = outcome.requests === 0 && cell.load.size < 1024 * 1024;
    if (outcome.notOk !== expected || isStuck) {
      throw new Error(`${cell.subject.name}: ${outcome.notOk} of ${outcome.requests} refused, not ${expected}`);
    }
    return {
      requestsPerSecond: (outcome.requests / outcome.micros) * 1e6,
      p50Millis: outcome.p50 / 1000,
      p99Millis: outcome.p99 / 1000,
      cpuMicros: (after.own - before.own) / outcome.requests,
      rssIdle,
      rssAfter: after.rss,
      startMillis,
      broken: outcome.broken,
      ...(after.store === null ? {} : { storeMicros: (after.store - (before.store ?? 0)) / outcome.requests }),
    };
  }

  /**
   * Runs at full speed until the process has had enough requests to be compiled: on a busy machine seconds alone say
   * little.
   */
  async #warm({ cell, port, secret }: Alive, seconds: number): Promise<void> {
    let requests = 0;
    for (let turn = 0; turn < WARM_TURNS && requests < WARM_REQUESTS; turn++) {
      requests += (await this.#traffic.wrk({ ...cell.load, rate: null }, { port, secret, seconds })).requests;
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

/** Of a process that has answered one request: `cpuMicros` is all that it has used. */
function startOf({ startMillis, rssIdle, used }: Alive): Sample {
  const { own, rss } = used();
  const none = { requestsPerSecond: 0, p50Millis: 0, p99Millis: 0, broken: 0 };
  return { ...none, cpuMicros: own, rssIdle, rssAfter: rss, startMillis };
}

/** The result of `measured`; of a second try if the first fails. */
async function twice<T>(measured: () => Promise<T>, tell: (line: string) => void): Promise<T> {
  try {
    return await measured();
  } catch (error) {
    tell(`once more: ${error instanceof Error ? error.message : error}`);
    return await measured();
  }
}

function isRefused({ subject, load }: Cell): boolean {
  return subject.verifies && (!load.signed || load.wrong === true) && load.path === undefined;
}

/** Large bodies are few: unfinished ones at the end would weigh too much in a short run. */
function secondsOf({ size }: Load, seconds: number): number {
  return size >= 2 ** 20 ? 2 * seconds : seconds;
}

function line({ subject, load }: Cell, sample: Sample): string {
  const more = Object.entries(load).filter(([name]) => name !== 'size' && name !== 'connections');
  const what = [
    `${load.size} B`,
    `${load.connections} connections`,
    ...more.map(([name, value]) => `${name} ${value}`),
  ];
  const broken = sample.broken === 0 ? '' : ` (${sample.broken} broken)`;
  return `${subject.name}, ${what.join(', ')}: ${sample.cpuMicros.toFixed(1)} µs, ${Math.round(sample.requestsPerSecond)}/s${broken}`;
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
