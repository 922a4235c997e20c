// An app in its own process, which can be killed at any moment, and which some deliveries kill. It records each one before
// it answers. Started with arguments (port, record file, `steady` or `flapping`), it runs as a program.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** `flapping`: every other 150 ms it answers 503. A body that holds `poison` kills it. */
export type Mood = 'steady' | 'flapping';

export interface Arrival {
  readonly id: string;
  readonly status: number;
  /** Of target, lines and body, in their bytes. */
  readonly digest: string;
}

export interface MortalApp {
  readonly url: string;
  /** Starts it, and starts it again `after` milliseconds after each death until `stop`. */
  start(mood: Mood): Promise<void>;
  kill(): void;
  stop(): Promise<void>;
  arrivals(): readonly Arrival[];
}

const FLAP_MS = 150;

export function mortalApp({ port, recordFile, after }: { port: number; recordFile: string; after: number }): MortalApp {
  let child: ReturnType<typeof spawn> | null = null;
  let wanted: Mood | null = null;
  const run = async (mood: Mood) => {
    const args = [fileURLToPath(import.meta.url), String(port), recordFile, mood];
    const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child = started;
    started.once('exit', async () => {
      await sleep(after);
      if (wanted !== null && child === started) await run(wanted);
    });
    await Promise.race([once(started.stdout, 'data'), once(started, 'exit')]);
  };
  return {
    url: `http://127.0.0.1:${port}`,
    async start(mood) {
      wanted = mood;
      await run(mood);
    },
    kill: () => void child?.kill('SIGKILL'),
    async stop() {
      wanted = null;
      const last = child;
      if (last === null || last.exitCode !== null || last.signalCode !== null) return;
      last.kill('SIGKILL');
      await once(last, 'exit');
    },
    arrivals() {
      if (!existsSync(recordFile)) return [];
      const whole = readFileSync(recordFile, 'utf8').split('\n').slice(0, -1);
      return whole.map((line) => JSON.parse(line) as Arrival);
    },
  };
}

/** Independent of how either side writes a head. */
export function digestOf(target: string, rawHeaders: readonly string[], body: Buffer): string {
  const hash = createHash('sha256').update(JSON.stringify([target, rawHeaders]));
  return hash.update(body).digest('hex');
}

function main([port, recordFile = '', mood]: readonly string[]): void {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      const id = /"id":"([^"]+)"/.exec(body.toString('latin1'))?.[1] ?? '';
      const status = mood === 'flapping' && Date.now() % (2 * FLAP_MS) < FLAP_MS ? 503 : 200;
      const dies = body.includes('poison');
      const digest = digestOf(request.url ?? '', request.rawHeaders, body);
      appendFileSync(recordFile, `${JSON.stringify({ id, status: dies ? 0 : status, digest })}\n`);
      if (dies) process.exit(1);
      response.writeHead(status).end('ok');
    });
  });
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
