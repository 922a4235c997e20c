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
import { type Choice, planOf, SIZES_OF_OURS } from './plan.ts';
import { digits, reportOf } from './report.ts';
import { ours } from './subjects.ts';

const HELP = `Usage: npm run bench -- [OPTIONS]

  --quick              10 minutes: what the goals need, and nothing else
  --only NAME,NAME     these subjects alone (names as in the tables)
  --against FILE       another build of ours (a main.js) beside this one, as "before"
  --no-build           takes dist/main.js as it is
  --seconds N          of each measurement (3; quick 2); whole seconds
  --repetitions N      of each (3; quick 2)
  --write              puts the tables into bench/results.md
`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RESULTS = `${ROOT}bench/results.md`;
const [BEGIN, END] = ['<!-- bench: begin -->', '<!-- bench: end -->'];

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
    'no-build': { type: 'boolean', default: false },
    seconds: { type: 'string' },
    repetitions: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(HELP);
else await run();

async function run(): Promise<void> {
  const absent = missing();
  if (absent.length > 0) throw new Error(`for a run there is still needed:\n  ${absent.join('\n  ')}`);
  if (!values['no-build']) execFileSync(process.execPath, [`${ROOT}scripts/build.ts`], { stdio: 'inherit' });
  const against = values.against === undefined ? null : ours({ name: 'before', main: values.against });
  const limits = canLimitCpu();
  const choice: Choice = { quick: values.quick, only: values.only?.split(',') ?? null, against, limits };
  const pace: Pace = {
    warmSeconds: values.quick ? 1 : 2,
    seconds: Number(values.seconds ?? (values.quick ? 2 : 3)),
    repetitions: Number(values.repetitions ?? (values.quick ? 2 : 3)),
  };
  const cells = planOf(choice);
  if (cells.length === 0) throw new Error('nothing to measure: is a name wrong?');
  const head = machineLines(new Date());
  moveToLoadCore();
  const hmac = bareHmac(pace.repetitions);
  const bench = await Bench.open();
  try {
    const results = await bench.measure(cells, pace, (line) => console.error(line));
    const speed = digits(hmac.get(1024)?.median ?? Number.NaN);
    const unit = `- one HMAC of 1 KiB takes ${speed} µs here; on yours \`node bench/peers/hmac.js 1024\` tells: divide to compare`;
    const how = `- medians of ${pace.repetitions} repetitions of ${pace.seconds} s, each on a fresh process warmed for ${pace.warmSeconds} s`;
    const text = [
      ...head,
      unit,
      how,
      ...(limits ? [] : ['- without a CPU limit: this user may make no cgroup']),
      '',
      reportOf({ results, hmac, against }),
    ].join('\n');
    console.log(text);
    if (values.write) writeResults(text);
  } finally {
    await bench.close();
  }
}

/** CPU microseconds of one HMAC, by bytes, measured in a separate process on the proxy's core. */
function bareHmac(repetitions: number): Map<number, Spread> {
  const program = fileURLToPath(new URL('peers/hmac.js', import.meta.url));
  const once = (size: number) => {
    const args = ['-c', String(PROXY_CORE), process.execPath, program, String(size)];
    return (JSON.parse(execFileSync('taskset', args, { encoding: 'utf8' })) as { micros: number }).micros;
  };
  return new Map(SIZES_OF_OURS.map((size) => [size, spread(Array.from({ length: repetitions }, () => once(size)))]));
}

function writeResults(text: string): void {
  const page = readFileSync(RESULTS, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${RESULTS} has no ${BEGIN} … ${END}`);
  writeFileSync(RESULTS, `${before}${BEGIN}\n${text}\n${END}${after}`);
}
