// Runs a program on a terminal of its own and reads what it prints there, or nothing. Python, since Node cannot open a terminal.
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { PROGRAM_ENV } from '../proxy/program.ts';
import { spawnTied, tied } from './children.ts';

const RELAY = `
import os, subprocess, sys
near, far = os.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=far, stderr=far)
os.close(far)
os.write(1, b'%d\\n' % child.pid)
if 'UNREAD' in os.environ:
    sys.stdin.read()
    os.close(near)
    sys.exit(child.wait())
while True:
    try:
        piece = os.read(near, 65536)
    except OSError:
        break
    if not piece:
        break
    os.write(1, piece)
sys.exit(child.wait())
`;

/** Starts it until the test ends. `env` is the whole environment apart from PATH; with UNREAD nobody reads the terminal. */
export async function onTerminal(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const python = spawnTied('python3', ['-c', RELAY, ...tied(...words)], {
    env: { ...PROGRAM_ENV, TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(python, 'close').then(([code]) => code as number | null);
  let text = '';
  python.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  while (!text.includes('\n')) await once(python.stdout, 'data');
  const pid = Number.parseInt(text, 10);
  onTestFinished(() => {
    if (python.exitCode === null) process.kill(pid, 'SIGKILL');
  });
  return {
    /** All that it printed so far, with plain line breaks. */
    text: () => text.slice(text.indexOf('\n') + 1).replaceAll('\r\n', '\n'),
    signal: (name: NodeJS.Signals) => process.kill(pid, name),
    /** Ends a terminal that nobody reads. */
    hangUp: () => void python.stdin.end(),
    /** Its exit code, once all that it printed was read. */
    exited,
  };
}
