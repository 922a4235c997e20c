// A run of the tests that is killed leaves nothing behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { CAN_TIE } from '../support/machine/children.ts';
import { eventually } from '../support/proxy/proxied.ts';

const isThere = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** What a run does: it starts a proxy, and something that is no child of its own. */
const RUN = `
  const { startProxy } = await import('${import.meta.resolve('../support/proxy/proxy.ts')}');
  const { atTheEnd } = await import('${import.meta.resolve('../support/machine/children.ts')}');
  const { spawn } = await import('node:child_process');
  const proxy = await startProxy({ config: { upstream: { url: 'http://127.0.0.1:1' } }, secrets: { current: 'a'.repeat(32) } });
  const other = spawn('sleep', ['1000'], { detached: true });
  atTheEnd('kill', '-KILL', \`-\${other.pid}\`);
  console.log(JSON.stringify([proxy.pid, other.pid]));
`;

test.skipIf(!CAN_TIE)(
  'a proxy ends with the process that started it, also by SIGKILL; so does what is no child',
  async () => {
    const run = spawn(process.execPath, ['--input-type=module', '--eval', RUN], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [printed] = await once(run.stdout, 'data');
    const pids = JSON.parse(String(printed)) as number[];
    expect(pids.map(isThere)).toEqual([true, true]);
    run.kill('SIGKILL');
    await eventually(() => pids.map(isThere), [false, false]);
  },
);
