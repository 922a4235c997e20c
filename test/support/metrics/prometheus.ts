// A real Prometheus for tests that scrapes each second. It ends only the process that it started and leaves no file
// behind.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startOnFreePort } from '../machine/on-free-port.ts';
import { haveTools } from '../machine/tools.ts';

export const HAS_PROMETHEUS = haveTools('prometheus');

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

type Alert = { readonly state: string } & Record<'labels' | 'annotations', Readonly<Record<string, string>>>;

export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

export async function startPrometheus(options: {
  readonly job: string;
  readonly targets: readonly { readonly port: number; readonly labels: Readonly<Record<string, string>> }[];
  readonly rules: string;
}) {
  const static_configs = options.targets.map(({ port, labels }) => ({ targets: [`127.0.0.1:${port}`], labels }));
  const { port, stop } = await startOnFreePort({
    program: 'prometheus',
    args: (file, port) => [
      `--config.file=${file}`,
      `--storage.tsdb.path=${file}.data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    configuration: ({ directory }) => {
      writeFileSync(join(directory, 'rules.yaml'), options.rules);
      return stringify({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: ['rules.yaml'],
        scrape_configs: [{ job_name: options.job, static_configs }],
      });
    },
    env: { GOMAXPROCS: '1' },
    hasStarted: async (port) => (await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => null))?.ok === true,
  });
  const url = `http://127.0.0.1:${port}`;
  return { url, ...api(url), stop };
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
      const { groups } = (await get('rules')) as {
        groups: { rules: Record<'name' | 'health' | 'lastError', string>[] }[];
      };
      return groups.flatMap(({ rules }) => rules);
    },
    alerts: async () => ((await get('alerts')) as { alerts: Alert[] }).alerts,
  };
}
