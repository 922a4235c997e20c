// slowhttptest finds the service available throughout.
// slowhttptest (https://github.com/shekyan/slowhttptest) in its modes for heads, bodies and reading, against the
// default limits. Besides its own probe an honest client delivers throughout, and must get its response every time.
import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { honestFor, percentile, successRate } from '../load/honest.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { haveTools } from '../support/machine/tools.ts';
import { shared } from '../support/proxy/shared.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const SECONDS = 8;

const on = shared(startStreamingUpstream, { routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] });

function attack(args: readonly string[], target: string): Promise<string> {
  const child = spawn('slowhttptest', [...args, '-l', String(SECONDS), '-p', '3', '-u', `${on.proxy.url}${target}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const add = (piece: Buffer) => {
    text += piece.toString();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(text));
  });
}

const plain = (text: string) => text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');

describe.skipIf(!haveTools('slowhttptest'))('slowhttptest', () => {
  test.each([
    ['slow heads on more connections than limits.connections', ['-H', '-c', '1500', '-r', '400', '-i', '2'], '/open/0'],
    ['slow bodies on a verified route', ['-B', '-c', '900', '-r', '200', '-i', '1', '-s', '8192'], '/notify'],
    ['slow bodies on an open route', ['-B', '-c', '900', '-r', '200', '-i', '1', '-s', '65536'], '/open/0'],
    ['slow reading', ['-X', '-c', '500', '-r', '50', '-n', '1', '-z', '64'], `/open/${8 * 1024 * 1024}`],
  ])('finds the service available with %s', async (_name, args, target) => {
    const body = '{"event":"honest"}';
    const honest = { port: on.proxy.port, clients: 5, pause: 50, body, signature: sign(SECRET, body) };
    const [output, tally] = await Promise.all([attack(args, target), honestFor(SECONDS * 1000, honest)]);
    const reports = plain(output).match(/service available:\s+\w+/g) ?? [];
    console.log(`${tally.times.length} answered, p99 ${percentile(tally.times, 0.99).toFixed(0)} ms`);
    expect([...tally.failures]).toEqual([]);
    expect(successRate(tally)).toBe(1);
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.filter((report) => !report.endsWith('YES'))).toEqual([]);
  });
});
