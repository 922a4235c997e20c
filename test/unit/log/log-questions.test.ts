// The commands of docs/logs.md answer their questions: jq counts lines of the log, and prints no `null`.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../../src/log/log.ts';
import { RequestLog } from '../../../src/log/request-log.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { haveTools, mustRun } from '../../support/machine/tools.ts';
import { accepted, hint, refused } from '../metrics/fixtures.ts';

const PAGE = new URL('../../../docs/logs.md', import.meta.url);

describe.skipIf(!haveTools('jq'))('the questions of docs/logs.md', () => {
  const directory = ownDirectory();
  beforeAll(async () => {
    const lines: string[] = [];
    const log = createLog('info', (line) => lines.push(line));
    const requests = new RequestLog(log, 'all');
    log.info('listening', { port: 8080 });
    requests.record(accepted());
    requests.record(accepted({ client: '192.0.2.8' }));
    requests.record(accepted({ status: 502, upstreamFailure: 'connect', bodySha256: '0123456789abcdef' }));
    requests.record(refused({ hint: hint('trailing-newline', 'a trailing newline') }));
    requests.record(refused({ hint: hint('trailing-newline', 'a trailing newline') }));
    requests.record(refused());
    requests.record(refused({ status: 431, reason: 'header_too_large', rule: 'head-size' }));
    requests.record(refused({ status: 400, reason: 'bad_request', rule: 'route-headers', header: 'x_a' }));
    await writeFile(join(directory, 'log'), `\n${lines.map((line) => `${line.trim()}\n`).join('')}`);
  });

  test.each([
    ['why are signatures wrong?', ['2 a trailing newline', '1 no hint']],
    ['which rule refuses what, and from where?', ['1 head-size - 192.0.2.7', '1 route-headers x_a 192.0.2.7']],
    ['which client signs with which secret?', ['2 current 192.0.2.7', '1 current 192.0.2.8']],
    ['which deliveries were lost, and when?', [expect.stringMatching(/^\S+Z \/notify 0123456789abcdef$/)]],
  ])('%s', async (question, answer) => {
    const [, commands = ''] = (await readFile(PAGE, 'utf8')).split(`# ${question}`);
    const [, command = ''] = commands.split('\n');
    expect(command).toMatch(/^jq /);
    const said = await mustRun('bash', ['-ec', command], { cwd: directory });
    const lines = said.trimEnd().split('\n');
    expect(lines.map((line) => line.trim().replaceAll(/\s+/g, ' '))).toEqual(answer);
  });
});
