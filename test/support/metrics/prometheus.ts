// A real Prometheus for tests that scrapes each second. It ends only the process that it started and leaves no file
// behind.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { spawnTied } from '../machine/children.ts';
import { freePort } from '../machine/free-port.ts';
import { haveTools } from '../machine/tools.ts';

const START_MS = 20_000;
const KILL_AFTER_MS = 10_000;

export const HAS_PROMETHEUS = haveTools('prometheus');

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** The result of an instant query. */
  readonly value?: readonly [number, string];
  /** The result of a range query. */
  readonly values?: readonly (readonly [number, string])[];
}

export interface RuleState {
  readonly name: string;
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastError?: string;
  readonly query: string;
}

export interface FiredAlert {
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

export async function startPrometheus(options: {
  readonly job: string;
  readonly targets: readonly { readonly port: number; readonly labels: Readonly<Record<string, string>> }[];
  /** The text of a rules file. */
  readonly rules?: string;
}) {
  const directory = await mkdtemp(join(tmpdir(), 'prometheus-test-'));
  // It cannot report which port it took when it was given 0.
  const port = await freePort();
  await writeFile(join(directory, 'rules.yaml'), options.rules ?? 'groups: []\n');
  await writeFile(
    join(directory, 'prometheus.yaml'),
    stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yaml'],
      scrape_configs: [
        {
          job_name: options.job,
          static_configs: options.targets.map(({ port, labels }) => ({ targets: [`127.0.0.1:${port}`], labels })),
        },
      ],
    }),
  );
  const child = spawnTied(
    'prometheus',
    [
      `--config.file=${join(directory, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH ?? '', GOMAXPROCS: '1' } },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await exited;
    clearTimeout(timer);
    await rm(directory, { recursive: true, force: true });
  };
  if (!(await becomesReady(url))) {
    await stop();
    throw new Error(`Prometheus did not become ready:\n${said}`);
  }
  return { url, ...api(url), stop };
}

async function becomesReady(url: string): Promise<boolean> {
  for (const end = Date.now() + START_MS; Date.now() < end; ) {
    const answer = await fetch(`${url}/-/ready`).catch(() => null);
    if (answer?.ok === true) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

function api(url: string) {
  const get = async (path: string, parameters: Readonly<Record<string, string>> = {}) => {
    const answer = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, data, error } = (await answer.json()) as { status: string; data: never; error?: string };
    if (status !== 'success') throw new Error(`${path}: ${error}: ${JSON.stringify(parameters)}`);
    return data;
  };
  return {
    query: async (query: string) => ((await get('query', { query })) as { result: Series[] }).result,
    /** Over the last `seconds`, each second. */
    queryRange: async (query: string, seconds: number) => {
      const end = Date.now() / 1000;
      const range = { query, start: String(end - seconds), end: String(end), step: '1' };
      return ((await get('query_range', range)) as { result: Series[] }).result;
    },
    rules: async () => {
      const { groups } = (await get('rules')) as { groups: { rules: RuleState[] }[] };
      return groups.flatMap(({ rules }) => rules);
    },
    alerts: async () => ((await get('alerts')) as { alerts: FiredAlert[] }).alerts,
    metricNames: (): Promise<readonly string[]> => get('label/__name__/values'),
  };
}
