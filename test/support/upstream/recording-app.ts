// An app in its own process, which can be killed at any moment, and which some deliveries kill. It records each
// one before it answers, so none that it processed is forgotten. Started with arguments, it runs as a program.
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawnTied } from '../machine/children.ts';

/** `flapping`: every other 150 ms it fails or refuses. A body that holds `poison` kills it. */
export type Mood = keyof typeof ANSWERS;

interface Arrival {
  readonly id: string;
  readonly tag: string;
  readonly status: number;
  /** Of target, lines and body, in their bytes. */
  readonly digest: string;
}

export type RecordingApp = ReturnType<typeof recordingApp>;

export interface AppOptions {
  readonly port: number;
  readonly recordFile: string;
  /** Milliseconds after which it starts again when it has died, until it is stopped; never unless given. */
  readonly after?: number;
}

const FLAP_MS = 150;
/** What it answers, in this order. 0: half an answer. */
const ANSWERS = { steady: [200], flapping: [200, 503, 200, 503, 404, 503, 0, 503], failing: [503] };
const PROGRAM = fileURLToPath(import.meta.url);

export function recordingApp({ port, recordFile, after }: AppOptions) {
  let child: ChildProcess | null = null;
  let wanted: Mood | null = null;
  const run = async (mood: Mood) => {
    const args = [PROGRAM, String(port), recordFile, mood];
    const started = spawnTied(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child = started;
    started.once('exit', async () => {
      if (after === undefined) return;
      await sleep(after);
      if (wanted !== null && child === started) await run(wanted);
    });
    await Promise.race([once(started.stdout, 'data'), once(started, 'exit')]);
  };
  const arrivals = () => {
    if (!existsSync(recordFile)) return [];
    const whole = readFileSync(recordFile, 'utf8').split('\n').slice(0, -1);
    return whole.map((line) => JSON.parse(line) as Arrival);
  };
  return {
    url: `http://127.0.0.1:${port}`,
    async start(mood: Mood = 'steady') {
      wanted = mood;
      await run(mood);
    },
    kill: () => void child?.kill('SIGKILL'),
    /** Kills it for good. */
    async stop() {
      wanted = null;
      const last = child;
      if (last === null || last.exitCode !== null || last.signalCode !== null) return;
      last.kill('SIGKILL');
      await once(last, 'exit');
    },
    arrivals,
    /** How often each delivery was processed, by id. */
    deliveries() {
      const counts = new Map<string, number>();
      for (const { id } of arrivals()) counts.set(id, (counts.get(id) ?? 0) + 1);
      return counts;
    },
  };
}

/** What the id of a body's event begins with, and what the log calls `body_sha256`. */
export const tagOf = (body: Buffer) => createHash('sha256').update(body).digest('hex').slice(0, 16);

/** Independent of how either side writes a head. */
export function digestOf(target: string, rawHeaders: readonly string[], body: Buffer): string {
  const hash = createHash('sha256').update(JSON.stringify([target, rawHeaders]));
  return hash.update(body).digest('hex');
}

function main([port, recordFile = '', mood = 'steady']: readonly string[]): void {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      const id = /"id":"([^"]+)"/.exec(body.toString('latin1'))?.[1] ?? '';
      const dies = body.includes('poison');
      const all = ANSWERS[mood as Mood];
      const status = dies ? 0 : (all[Math.floor(Date.now() / FLAP_MS) % all.length] ?? 0);
      const digest = digestOf(request.url ?? '', request.rawHeaders, body);
      appendFileSync(recordFile, `${JSON.stringify({ id, tag: tagOf(body), status, digest })}\n`);
      if (dies) process.exit(1);
      if (status > 0) response.writeHead(status).end('ok');
      else response.writeHead(200, { 'Content-Length': 100 }).write('half', () => request.socket.destroy());
    });
  });
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
}

if (import.meta.main) main(process.argv.slice(2));
