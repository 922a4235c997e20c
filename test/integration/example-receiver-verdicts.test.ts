// Our verdict on each delivery of the table is always checked against the recorded expectation. That of Entrupy's example
// receiver is checked on the same bytes, where it can run: its code is read from the page's text, never kept here.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exchange } from '../support/http/raw-client.ts';
import { type Started, startOnFreePort } from '../support/machine/on-free-port.ts';
import { haveTools } from '../support/machine/tools.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';
import { delivery, SECRET, VERDICT_CASES } from '../testdata/verdict-cases.ts';

describe('our verdict', () => {
  const on = shared(startUpstream, {}, { secrets: { current: SECRET } });

  test.each(VERDICT_CASES)('on $name is as the table says', async (row) => {
    const before = on.upstream.requests.length;
    const response = await exchange(on.proxy.port, delivery(row));
    expect(response.status).toBe(row.status);
    const reached = on.upstream.requests.slice(before);
    if (row.status === 200) {
      expect(reached.map(({ body }) => body.toString('latin1'))).toEqual([row.body.toString('latin1')]);
    } else {
      expect(response.body.toString()).toBe('{"error":"unauthorized"}');
      expect(reached).toEqual([]);
    }
  });
});

const PAGE = fileURLToPath(new URL('../../../shared/entrupy-example-server.txt', import.meta.url));

/**
 * The page's text lost its indentation. The code is simple enough to restore it: a line that ends in a colon opens a
 * block; a line that returns, raises or exits closes one; definitions and decorators start at the margin.
 */
function indent(code: string): string {
  let depth = 0;
  const lines = code.split('\n').map((line) => {
    if (/^(def |@|if __name__)/.test(line)) depth = 0;
    if (/^except\b/.test(line)) depth -= 1;
    const indented = '    '.repeat(depth) + line;
    if (/^(return|raise)\b|^sys\.exit\(/.test(line)) depth = Math.max(0, depth - 1);
    if (/^(def|if|try|except)\b.*:$/.test(line)) depth += 1;
    return indented;
  });
  return lines.join('\n');
}

describe.skipIf(!existsSync(PAGE) || !haveTools('flask'))("the example receiver's verdict", () => {
  let receiver: Started;
  beforeAll(async () => {
    const [, code] = readFileSync(PAGE, 'utf8').split('\nExample Code\n');
    if (code === undefined) throw new Error('the page has no example code');
    receiver = await startOnFreePort({
      program: '/usr/bin/python3',
      args: (script, port) => [script, '127.0.0.1', String(port)],
      configuration: () => indent(code),
      env: { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET, PYTHONUTF8: '1' },
    });
  });
  afterAll(() => receiver?.stop());

  test.each(VERDICT_CASES)('on $name is as the table says', async (row) => {
    const response = await exchange(receiver.port, delivery(row));
    expect(response.status, row.example?.because).toBe(row.example?.status ?? row.status);
  });
});
