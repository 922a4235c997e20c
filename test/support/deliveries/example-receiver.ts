// Runs Entrupy's own example receiver beside the tests, if its text and Python's Flask are available. The code is read
// from the page's text at run time, never kept here.
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnTied } from '../machine/children.ts';
import { freePort } from '../machine/free-port.ts';
import { haveTools } from '../machine/tools.ts';

const PAGE = fileURLToPath(new URL('../../../../shared/entrupy-example-server.txt', import.meta.url));
const PYTHON = '/usr/bin/python3';
const START_MS = 10_000;

/** True if the page's text, Python and Flask are all available. */
export function hasExampleReceiver(): boolean {
  return existsSync(PAGE) && haveTools('flask');
}

export interface ExampleReceiver {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startExampleReceiver(secret: string): Promise<ExampleReceiver> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-example-'));
  const script = join(directory, 'webhook_server.py');
  await writeFile(script, indent(codeOf(await readFile(PAGE, 'utf8'))));
  // Flask's development server cannot report a port that it chose.
  const port = await freePort();
  const child = spawnTied(PYTHON, [script, '127.0.0.1', String(port)], {
    env: { PATH: process.env.PATH ?? '', WEBHOOK_ENDPOINT_SECRET_KEY: secret, PYTHONUTF8: '1', PYTHONUNBUFFERED: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await new Promise((resolve) =>
      (child.exitCode ?? child.signalCode) === null ? child.once('exit', resolve) : resolve(0),
    );
    await rm(directory, { recursive: true, force: true });
  };
  await running(child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { port, stop };
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

/** Resolves once it says that it is running. */
function running(child: ChildProcess): Promise<void> {
  let printed = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the example receiver did not start:\n${printed}`)), START_MS);
    child.once('exit', () => reject(new Error(`the example receiver ended:\n${printed}`)));
    child.stderr?.on('data', (text: Buffer) => {
      printed += text.toString();
      if (!printed.includes('Running on http')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}
