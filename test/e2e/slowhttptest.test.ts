// slowhttptest finds the service available throughout.
// slowhttptest (https://github.com/shekyan/slowhttptest) in its modes for heads, bodies and reading, against the
// default limits. Besides its own probe an honest client delivers throughout, and must get its response every time.
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { honestFor, percentile, successRate } from '../load/honest.ts';
import { sign } from '../support/deliveries/signer.ts';
import { haveTools } from '../support/machine/tools.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type StreamingUpstream, startStreamingUpstream } from '../support/upstream/streams.ts';

const SECRET = 'slowhttptest-secret-0123456789abcdef';
const SECONDS = 12;

let upstream: StreamingUpstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = await startStreamingUpstream();
  proxy = await startProxy({
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
    },
    secrets: { current: SECRET },
  });
});
afterAll(async () => {
  await proxy?.stop();
  await upstream?.close();
});

function attack(args: readonly string[], target: string): Promise<string> {
  const child = spawn('slowhttptest', [...args, '-l', String(SECONDS), '-p', '3', '-u', `${proxy.url}${target}`], {
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
    ['heads', ['-H', '-c', '1000', '-r', '200', '-i', '2'], '/open/0'],
    ['heads, more connections than limits.connections', ['-H', '-c', '1500', '-r', '400', '-i', '2'], '/open/0'],
    ['bodies on a verified route', ['-B', '-c', '900', '-r', '200', '-i', '1', '-s', '8192'], '/notify'],
    ['bodies on an open route', ['-B', '-c', '900', '-r', '200', '-i', '1', '-s', '65536'], '/open/0'],
    ['reading', ['-X', '-c', '500', '-r', '50', '-n', '1', '-z', '64'], `/open/${8 * 1024 * 1024}`],
  ])('%s', async (_name, args, target) => {
    const body = '{"event":"honest"}';
    const honest = { port: proxy.port, clients: 5, pause: 50, body, signature: sign(SECRET, body) };
    const [output, tally] = await Promise.all([attack(args, target), honestFor(SECONDS * 1000, honest)]);
    const reports = plain(output).match(/service available:\s+\w+/g) ?? [];
    console.log(`${tally.times.length} answered, p99 ${percentile(tally.times, 0.99).toFixed(0)} ms`);
    expect([...tally.failures]).toEqual([]);
    expect(successRate(tally)).toBe(1);
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.filter((report) => !report.endsWith('YES'))).toEqual([]);
  });
});
