// The tables, as Markdown. They show the measurements and judge nothing; an unmeasured cell is left out.

import { type Goal, goalsOf } from './goals.ts';
import type { Load } from './harness/load.ts';
import type { Results } from './harness/measure.ts';
import { type Figure, figure, ratio, type Sample, type Spread, spread } from './harness/samples.ts';
import {
  BALANCED,
  BY_ROUTES,
  BY_SECRETS,
  CALM,
  CALMED,
  CONNECTIONS,
  DUPLICATES,
  FLOOD,
  FLOODED,
  FORWARDED,
  FORWARDED_ALONE,
  FRESH,
  FRESH_BESIDE_SOCKETS,
  FRESH_LIMITED,
  FRESH_NEW,
  KIB,
  LARGE,
  load,
  MIB,
  NEW_EVENTS,
  SIZES,
  SIZES_OF_OURS,
  START,
  USUAL,
  WRONG,
} from './plan.ts';
import {
  BARE_PROXYING,
  BARE_SERVER,
  BARE_STREAMING,
  FASTIFY,
  FLOOR,
  HAPROXY,
  HTTP_PROXY_3,
  NGINX_NJS,
  NO_PROXY,
  ONCE_IN_MEMORY,
  ONCE_IN_REDIS,
  OURS,
  PEERS_OF_OURS,
  type Subject,
  UNBUILT,
} from './subjects.ts';

/** The columns of docs/performance.md. */
const SUMMED = [OURS, HAPROXY, NGINX_NJS, HTTP_PROXY_3, FASTIFY];

export interface Report {
  readonly results: Results;
  /** CPU microseconds of one bare HMAC, by bytes. */
  readonly hmac: ReadonlyMap<number, Spread>;
  /** Other builds of ours. */
  readonly builds: readonly Subject[];
}

export function reportOf(report: Report): string {
  const { results } = report;
  return [
    goals(goalsOf(results, report.hmac)),
    ...SIZES.flatMap((size) => CONNECTIONS.map((connections) => sideBySide(report, load(size, connections)))),
    flood(results),
    wrong(report),
    calm(results),
    fresh(report),
    limited(report),
    starts(report),
    balanced(report),
    forwarded(results),
    sizes(report),
    counts(results),
    once(results),
  ]
    .filter((section) => section !== '')
    .join('\n\n');
}

/** The figures of docs/performance.md; throws if the run lacks one. */
export function summaryOf({ results, hmac }: Report): string {
  const cpu = (subject: Subject, at: Load) => certain(median(results.of(subject, at), 'cpuMicros'));
  const usual = (what: string, name: Figure, unit: string) => [
    what,
    ...SUMMED.map((subject) => `${certain(median(results.of(subject, USUAL), name))}${unit}`),
  ];
  const table = tableOf(
    ['', 'this proxy', 'HAProxy', 'nginx with njs', 'http-proxy-3', '@fastify/http-proxy'],
    [
      usual('CPU a request', 'cpuMicros', ' µs'),
      usual('requests a second', 'requestsPerSecond', ''),
      usual('memory (RSS) idle', 'rssIdle', ' MiB'),
      usual('memory after load', 'rssAfter', ' MiB'),
      usual('start until the first answer', 'startMillis', ' ms'),
    ],
  );
  const many = certain(median(results.of(OURS, load(KIB, 256)), 'rssAfter'));
  const once = ratio(results.of(ONCE_IN_MEMORY, NEW_EVENTS), results.of(OURS, NEW_EVENTS), 'cpuMicros');
  const all = goalsOf(results, hmac);
  return `${table}

The ratio to programs in C depends on the processor: 1.3 to 1.5 times the CPU of nginx with njs on one kind, 1.15 to 1.3
on another.

## What to expect

- **A pod needs less than the RSS** ([what counts](docker.md#sizing)): some 45 MiB of it are pages of Node's executable,
  which all Node processes on a machine share. With 256 busy connections the RSS is ${many} MiB.
- **A refusal is cheap**: ${cpu(OURS, FLOOD)} µs for a request without a signature.
- **Large bodies**: ${cpu(OURS, LARGE)} µs for 1 MiB, of which the HMAC takes ${certain(digits(hmac.get(MIB)?.median ?? Number.NaN))}.
- **A cold process is slow**: over its first 2,000 requests one costs ${cpu(OURS, FRESH)} µs on kept connections.
- **A body on a forward route is expensive**: ${cpu(OURS, FORWARDED)} µs, since it gets its own upstream socket; with TLS, a handshake, too.
- **Each further secret** costs one more HMAC per request. \`once\` with memory makes a request cost ${certain(digits(once.median))} times as much.
- **${all.filter(({ met }) => !met).length} of the ${all.length} goals are missed**: [bench/results.md](../bench/results.md#goals).`;
}

function certain(figure: string): string {
  if (figure === UNKNOWN) throw new Error('docs/performance.md stays as it is: the run lacks a figure');
  return figure;
}

function goals(rows: readonly Goal[]): string {
  const known = rows.filter(({ found }) => !Number.isNaN(found.median));
  return section(
    'Goals',
    ['goal', 'limit', 'found', 'range', ''],
    known.map((goal) => [
      goal.what,
      goal.limit,
      `${digits(goal.found.median)} ${goal.unit}`,
      range(goal.found),
      goal.met ? 'met' : '**missed**',
    ]),
  );
}

function sideBySide({ results, builds }: Report, at: Load): string {
  const beside = [OURS, ...builds, UNBUILT, ...PEERS_OF_OURS];
  const shown = at.size === USUAL.size && at.connections === USUAL.connections ? [...beside, BARE_SERVER] : beside;
  const base = { ours: results.of(OURS, at), floor: results.of(FLOOR, at) };
  return section(
    `${bytes(at.size)}, ${at.connections} connection${at.connections === 1 ? '' : 's'}`,
    [
      '',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'CPU µs a request',
      'range',
      '× ours',
      '× floor',
      'RSS idle MiB',
      'RSS after MiB',
      'start ms',
    ],
    rows(shown, results, at, (samples, subject) => {
      const own = subject === NO_PROXY ? ['', '', '', ''] : cpuColumns(samples, base);
      const held =
        subject === NO_PROXY
          ? ['', '', '']
          : [median(samples, 'rssIdle'), median(samples, 'rssAfter'), median(samples, 'startMillis')];
      return [
        median(samples, 'requestsPerSecond'),
        median(samples, 'p50Millis'),
        median(samples, 'p99Millis'),
        ...own,
        ...held,
      ];
    }),
  );
}

function cpuColumns(samples: readonly Sample[], base: { ours: readonly Sample[]; floor: readonly Sample[] }): string[] {
  const cpu = figure(samples, 'cpuMicros');
  const to = (other: readonly Sample[]) => digits(ratio(samples, other, 'cpuMicros').median);
  return [digits(cpu.median), range(cpu), to(base.ours), to(base.floor)];
}

function fresh({ results, builds }: Report): string {
  const beside = [OURS, ...builds, FLOOR];
  const cpu = (subject: Subject, at: Load) => median(results.of(subject, at), 'cpuMicros');
  return section(
    'A fresh process: its first 2,000 requests at 100 a second, 1 KiB; CPU µs a request',
    [
      '',
      'kept connections',
      'range',
      '× ours',
      'beside 20,000 other sockets',
      'new connections',
      'p99 ms',
      'RSS after MiB',
    ],
    rows(beside, results, FRESH, (samples, subject) => [
      median(samples, 'cpuMicros'),
      range(figure(samples, 'cpuMicros')),
      digits(ratio(samples, results.of(OURS, FRESH), 'cpuMicros').median),
      cpu(subject, FRESH_BESIDE_SOCKETS),
      cpu(subject, FRESH_NEW),
      median(samples, 'p99Millis'),
      median(samples, 'rssAfter'),
    ]),
  );
}

function limited({ results, builds }: Report): string {
  const beside = [OURS, ...builds, FLOOR];
  return section(
    'The same with a CPU limit of 100m, on kept connections',
    ['', 'start ms', 'CPU µs a request', 'range', '× ours', 'p50 ms', 'p99 ms'],
    rows(beside, results, FRESH_LIMITED, (samples) => [
      median(samples, 'startMillis'),
      median(samples, 'cpuMicros'),
      range(figure(samples, 'cpuMicros')),
      digits(ratio(samples, results.of(OURS, FRESH_LIMITED), 'cpuMicros').median),
      median(samples, 'p50Millis'),
      median(samples, 'p99Millis'),
    ]),
  );
}

function starts({ results, builds }: Report): string {
  const title = 'From exec to the first answer: medians of twelve starts in turn';
  return section(
    title,
    ['', 'ms', 'range', 'CPU ms', 'range'],
    rows([OURS, ...builds, FLOOR, BARE_SERVER], results, START, (samples) => {
      const spent = spread(samples.map(({ cpuMicros }) => cpuMicros / 1000));
      return [
        median(samples, 'startMillis'),
        range(figure(samples, 'startMillis')),
        digits(spent.median),
        range(spent),
      ];
    }),
  );
}

function balanced({ results, builds }: Report): string {
  const beside = [OURS, ...builds, ...PEERS_OF_OURS];
  return section(
    'With the lines of a balancer: eleven, 1 KiB, 32 connections',
    ['', 'requests/s', 'CPU µs a request', 'range', '× with four lines'],
    rows(beside, results, BALANCED, (samples, subject) => [
      median(samples, 'requestsPerSecond'),
      median(samples, 'cpuMicros'),
      range(figure(samples, 'cpuMicros')),
      digits(ratio(samples, results.of(subject, USUAL), 'cpuMicros').median),
    ]),
  );
}

function forwarded(results: Results): string {
  return section(
    'A forward route with a body, unsigned, 1 KiB',
    ['', 'requests/s, 32 connections', 'CPU µs a request', 'p50 ms, one connection'],
    rows([OURS, BARE_STREAMING], results, FORWARDED, (samples, subject) => [
      median(samples, 'requestsPerSecond'),
      median(samples, 'cpuMicros'),
      median(results.of(subject, FORWARDED_ALONE), 'p50Millis'),
    ]),
  );
}

function flood(results: Results): string {
  return section(
    'Refusals: no signature, 1 KiB, 32 connections',
    ['', 'refusals/s', 'CPU µs a refusal', '× its accepted request', '× ours'],
    rows(FLOODED, results, FLOOD, (samples, subject) => [
      median(samples, 'requestsPerSecond'),
      median(samples, 'cpuMicros'),
      digits(ratio(samples, results.of(subject, USUAL), 'cpuMicros').median),
      digits(ratio(samples, results.of(OURS, FLOOD), 'cpuMicros').median),
    ]),
  );
}

function wrong({ results, builds }: Report): string {
  return section(
    'Refusals: a wrong signature, 1 KiB, 32 connections',
    ['', 'refusals/s', 'CPU µs a refusal', 'RSS after MiB'],
    rows([OURS, ...builds], results, WRONG, (samples) => [
      median(samples, 'requestsPerSecond'),
      median(samples, 'cpuMicros'),
      median(samples, 'rssAfter'),
    ]),
  );
}

function calm(results: Results): string {
  const none = results.of(NO_PROXY, CALM);
  const added = (samples: readonly Sample[], name: 'p50Millis' | 'p99Millis') =>
    digits(figure(samples, name).median - figure(none, name).median);
  return section(
    'Latency at 100 requests a second, 1 KiB',
    ['', 'p50 ms', 'p99 ms', 'p50 added', 'p99 added'],
    rows(CALMED, results, CALM, (samples) => [
      median(samples, 'p50Millis'),
      median(samples, 'p99Millis'),
      added(samples, 'p50Millis'),
      added(samples, 'p99Millis'),
    ]),
  );
}

function sizes({ results, hmac }: Report): string {
  const cpu = (subject: Subject, at: Load) => median(results.of(subject, at), 'cpuMicros');
  const shown = SIZES_OF_OURS.filter((size) => results.of(OURS, load(size, 32)).length > 0);
  return section(
    'CPU µs a request by the body’s size, 32 connections',
    ['', 'ours', 'floor', 'bare proxying', 'streamed', 'bare HMAC'],
    shown.map((size) => {
      const at = load(size, 32);
      const bare = digits(hmac.get(size)?.median ?? Number.NaN);
      return [bytes(size), cpu(OURS, at), cpu(FLOOR, at), cpu(BARE_PROXYING, at), cpu(BARE_STREAMING, at), bare];
    }),
  );
}

function counts(results: Results): string {
  const row = (what: string, subject: Subject) => {
    const samples = results.of(subject, USUAL);
    const cpu = figure(samples, 'cpuMicros');
    const to = ratio(samples, results.of(OURS, USUAL), 'cpuMicros');
    return samples.length === 0 ? [] : [[what, digits(cpu.median), range(cpu), digits(to.median)]];
  };
  return section(
    'CPU µs a request by routes and secrets, 1 KiB, 32 connections',
    ['', 'CPU µs', 'range', '× ours'],
    [
      ...row('1 route, 1 secret', OURS),
      ...BY_ROUTES.flatMap(({ routes, subject }) => row(`${routes} routes`, subject)),
      ...BY_SECRETS.flatMap(({ secrets, subject }) => row(`${secrets} secrets`, subject)),
    ],
  );
}

function once(results: Results): string {
  const off = results.of(OURS, NEW_EVENTS);
  const row = (what: string, subject: Subject, at: Load) => {
    const samples = results.of(subject, at);
    const cpu = figure(samples, 'cpuMicros');
    const store = spread(samples.flatMap(({ storeMicros }) => storeMicros ?? []));
    return samples.length === 0
      ? []
      : [
          [
            what,
            median(samples, 'requestsPerSecond'),
            digits(cpu.median),
            range(cpu),
            digits(ratio(samples, off, 'cpuMicros').median),
            digits(store.median),
            median(samples, 'rssAfter'),
          ],
        ];
  };
  const body = [
    ...row('in memory, each event new', ONCE_IN_MEMORY, NEW_EVENTS),
    ...row('in Redis, each event new', ONCE_IN_REDIS, NEW_EVENTS),
    ...row('in memory, duplicates', ONCE_IN_MEMORY, DUPLICATES),
    ...row('in Redis, duplicates', ONCE_IN_REDIS, DUPLICATES),
  ];
  return section(
    'Deliver once, 1 KiB, 32 connections',
    ['', 'requests/s', 'CPU µs a request', 'range', '× off', 'CPU µs of Redis', 'RSS after MiB'],
    body.length === 0 ? [] : [...row('off, each event new', OURS, NEW_EVENTS), ...body],
  );
}

type Columns = (samples: readonly Sample[], subject: Subject) => string[];

function rows(subjects: readonly Subject[], results: Results, at: Load, columns: Columns): string[][] {
  return subjects.flatMap((subject) => {
    const samples = results.of(subject, at);
    return samples.length === 0 ? [] : [[subject.name, ...columns(samples, subject)]];
  });
}

function section(title: string, head: readonly string[], body: readonly (readonly string[])[]): string {
  return body.length === 0 ? '' : `### ${title}\n\n${tableOf(head, body)}`;
}

function tableOf(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = `|${head.map((_, index) => (index === 0 ? '---' : '--:')).join('|')}|`;
  return [line(head), rule, ...body.map(line)].join('\n');
}

const UNKNOWN = '–';

/** Three significant digits, or a dash if unknown. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  return size >= 100 ? Math.round(value).toLocaleString('en-GB') : value.toFixed(size >= 10 ? 1 : 2);
}

function median(samples: readonly Sample[], name: Figure): string {
  return digits(figure(samples, name).median);
}

function range({ min, max }: Spread): string {
  return `${digits(min)} to ${digits(max)}`;
}

export function bytes(size: number): string {
  return size >= 1024 * 1024 ? `${size / 1024 / 1024} MiB` : `${size / 1024} KiB`;
}
