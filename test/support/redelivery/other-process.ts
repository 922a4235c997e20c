// Another process with a store of deferred deliveries. The caller kills it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('store-process.ts', import.meta.url));

export interface OtherProcess {
  /** One at a time; again while its store fails. Rejects if the process ends. */
  ask(method: 'claim' | 'remove' | 'release', id: string): Promise<unknown>;
  /** From now on it stands still. */
  stop(): void;
  resume(): void;
  kill(): Promise<void>;
}

export function startOtherProcess(url: string, name: string): OtherProcess {
  const child = spawn(process.execPath, [PROGRAM, url, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(method, id) {
      let answer: unknown = 'failed';
      while (answer === 'failed') {
        child.stdin.write(`${method} ${id}\n`);
        const { value, done } = await lines.next();
        if (done === true) throw new Error('the other process has ended');
        ({ answer } = JSON.parse(value) as { answer: unknown });
      }
      return answer;
    },
    stop: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
