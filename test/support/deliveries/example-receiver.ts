// Runs Entrupy's own example receiver beside the tests, if its text and Python's Flask are available. The code is read
// from the page's text at run time, never kept here.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Started, startOnFreePort } from '../machine/on-free-port.ts';
import { haveTools } from '../machine/tools.ts';

const PAGE = fileURLToPath(new URL('../../../../shared/entrupy-example-server.txt', import.meta.url));

/** True if the page's text, Python and Flask are all available. */
export function hasExampleReceiver(): boolean {
  return existsSync(PAGE) && haveTools('flask');
}

export function startExampleReceiver(secret: string): Promise<Started> {
  return startOnFreePort({
    program: '/usr/bin/python3',
    args: (script, port) => [script, '127.0.0.1', String(port)],
    configuration: () => indent(codeOf(readFileSync(PAGE, 'utf8'))),
    env: { WEBHOOK_ENDPOINT_SECRET_KEY: secret, PYTHONUTF8: '1' },
  });
}

function codeOf(page: string): string {
  const start = page.indexOf('\nExample Code\n');
  if (start === -1) throw new Error('the page has no example code');
  return page.slice(start + '\nExample Code\n'.length);
}

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
