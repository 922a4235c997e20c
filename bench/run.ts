// `npm run bench`: our proxy beside its peers, in front of one upstream, on one core. The proxy has its own core; load,
// upstream and this program share the other. bench/README.md explains the output.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { canLimitCpu } from './harness/cpu-limit.ts';
import { Bench, type Pace } from './harness/measure.ts';
import { moveToLoadCore, PROXY_CORE } from './harness/process.ts';
import { type Spread, spread } from './harness/samples.ts';
import { machineLines, missing } from './machine.ts';
import { type Choice, planOf, SIZES, SIZES_OF_OURS } from './plan.ts';
import { digits, reportOf, summaryOf } from './report.ts';
import { ours } from './subjects.ts';

const HELP = `Usage: npm run bench -- [OPTIONS]

  --quick              8 minutes: what the goals and docs/performance.md need, and nothing else
  --only NAME,NAME     these subjects alone (names as in the tables)
  --against [NAME=]FILE  another build of ours (a main.js) beside this one, as NAME or "before", and this one again, as
                       "again"; may be given more than once. Two of them make --quick take 15 minutes
  --no-build           takes dist/main.js as it is
  --seconds N          of each burst (1); whole seconds
  --turns N            bursts of each subject under each load (6; quick 5)
  --fresh N            fresh processes of each subject (3; quick 2)
  --write              puts the tables into bench/results.md, and their summary into docs/performance.md
`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RESULTS = `${ROOT}bench/results.md`;
const SUMMARY = `${ROOT}docs/performance.md`;
const [BEGIN, END] = ['<!-- bench: begin -->', '<!-- bench: end -->'];

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string', multiple: true, default: [] },
    'no-build': { type: 'boolean', default: false },
    seconds: { type: 'string' },
    turns: { type: 'string' },
    fresh: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(HELP);
else await run();

async function run(): Promise<void> {
  const absent = missing();
  if (absent.length > 0) throw new Error(`for a run there is still needed:\n  ${absent.join('\n  ')}`);
  if (!values['no-build']) execFileSync(process.execPath, [`${ROOT}scripts/build.ts`], { stdio: 'inherit' });
  const before = values.against.map((given, nth) => {
    const { name = nth === 0 ? 'before' : `before-${nth + 1}`, main = '' } =
      /^(?:(?<name>[\w.-]+)=)?(?<main>.*)$/.exec(given)?.groups ?? {};
    return ours({ name, main });
  });
  const builds = before.length === 0 ? [] : [ours({ name: 'again' }), ...before];
  const limits = canLimitCpu();
  const choice: Choice = { quick: values.quick, only: values.only?.split(',') ?? null, builds, limits };
  const pace: Pace = {
    warmSeconds: values.quick ? 1 : 2,
    seconds: Number(values.seconds ?? 1),
    turns: Number(values.turns ?? (values.quick ? 5 : 6)),
    freshRuns: Number(values.fresh ?? (values.quick ? 2 : 3)),
  };
  const cells = planOf(choice);
  if (cells.length === 0) throw new Error('nothing to measure: is a name wrong?');
  const head = machineLines(new Date());
  moveToLoadCore();
  const hmac = bareHmac(values.quick ? SIZES : SIZES_OF_OURS, pace.turns);
  const bench = await Bench.open();
  try {
    const results = await bench.measure(cells, pace, (line) => console.error(line));
    const speed = digits(hmac.get(1024)?.median ?? Number.NaN);
    const unit = `- one HMAC of 1 KiB takes ${speed} µs here; on yours \`node bench/peers/hmac.js 1024\` tells: divide to compare`;
    const how = `- medians of ${pace.turns} bursts of ${pace.seconds} s, in turn; of ${pace.freshRuns} fresh processes`;
    const text = [
      ...head,
      unit,
      how,
      ...(limits || values.quick ? [] : ['- without a CPU limit: this user may make no cgroup']),
      ...results.failures.map((failure) => `- **not measured**: ${failure}`),
      '',
      reportOf({ results, hmac, builds }),
    ].join('\n');
    console.log(text);
    if (values.write) {
      replaceBlock(RESULTS, text);
      replaceBlock(SUMMARY, summaryOf({ results, hmac, builds }));
    }
    if (results.failures.length > 0) process.exitCode = 1;
  } finally {
    await bench.close();
  }
}

/** CPU microseconds of one HMAC, by bytes, measured in a separate process on the proxy's core. */
function bareHmac(sizes: readonly number[], times: number): Map<number, Spread> {
  const program = fileURLToPath(new URL('peers/hmac.js', import.meta.url));
  const once = (size: number) => {
    const args = ['-c', String(PROXY_CORE), process.execPath, program, String(size)];
    return (JSON.parse(execFileSync('taskset', args, { encoding: 'utf8' })) as { micros: number }).micros;
  };
  return new Map(sizes.map((size) => [size, spread(Array.from({ length: times }, () => once(size)))]));
}

function replaceBlock(file: string, text: string): void {
  const [before, rest] = readFileSync(file, 'utf8').split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${file} has no ${BEGIN} … ${END}`);
  writeFileSync(file, `${before}${BEGIN}\n${text}\n${END}${after}`);
}
