// `node bench/profile.ts [--seconds N] [--size BYTES] [--unsigned] [--main FILE | --floor]`: where our proxy, or the
// floor, spends its time under 32 connections. Functions by self time, from V8's sampling profiler, as shares of the
// busy time. The start is included, so a longer run makes it small. With --main src/main.ts the lines are those of the
// source.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench } from './harness/measure.ts';
import { moveToLoadCore } from './harness/process.ts';
import { KIB, load } from './plan.ts';
import { FLOOR, ours, type Subject } from './subjects.ts';

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    size: { type: 'string', default: String(KIB) },
    main: { type: 'string', default: 'dist/main.js' },
    unsigned: { type: 'boolean', default: false },
    floor: { type: 'boolean', default: false },
  },
});

const directory = join(tmpdir(), `entrupy-proxy-profile-${process.pid}`);
mkdirSync(directory);
moveToLoadCore();
const bench = await Bench.open();
try {
  const flags = ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', directory];
  const subject = withFlags(values.floor ? FLOOR : ours({ main: values.main }), flags);
  const at = load(Number(values.size), 32, { signed: !values.unsigned });
  const pace = { warmSeconds: 1, seconds: Number(values.seconds), turns: 1, freshRuns: 1 };
  await bench.measure([{ subject, load: at }], pace, (line) => console.error(line));
  for (const file of readdirSync(directory)) print(JSON.parse(readFileSync(join(directory, file), 'utf8')) as Profile);
} finally {
  await bench.close();
  rmSync(directory, { recursive: true });
}

function withFlags(subject: Subject, flags: readonly string[]): Subject {
  return {
    ...subject,
    program(site) {
      const program = subject.program(site);
      return program === null ? null : { ...program, args: [...flags, ...program.args] };
    },
  };
}

function print(profile: Profile): void {
  console.log(table('function', 30, shares(profile, functionOf)));
  console.log(table('file', 20, shares(profile, fileOf)));
}

/** Self time by the name that `nameOf` gives each frame, largest first, as shares of the busy time. */
function shares({ nodes, samples, timeDeltas }: Profile, nameOf: (frame: Frame) => string): [string, number][] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const self = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '';
    self.set(name, (self.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  self.delete('(idle)');
  const busy = [...self.values()].reduce((total, micros) => total + micros, 0);
  return [...self].map(([name, micros]): [string, number] => [name, micros / busy]).sort(([, a], [, b]) => b - a);
}

function table(what: string, rows: number, all: [string, number][]): string {
  const lines = all.slice(0, rows).map(([name, share]) => `| ${(100 * share).toFixed(1)} % | ${name} |`);
  return ['', `| self time | ${what} |`, '|--:|---|', ...lines].join('\n');
}

/** The engine's own frames (`writev`, the collector) have no file. */
function fileOf({ functionName, url }: Frame): string {
  if (url === '') return functionName;
  return url.startsWith('node:') ? url : basename(url);
}

function functionOf(frame: Frame): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName;
  return frame.url === '' ? name : `${name} ${fileOf(frame)}:${frame.lineNumber + 1}`;
}
