// An upstream in its own process, to be stopped or killed at any moment. It records the id of each delivery before it
// responds, so no processed delivery is forgotten, however it ends. Started with arguments (port, record file and
// delay), it runs as a program. A delivery with `hang` in its id is never answered; WebSockets are echoed.
import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

export interface RecordingUpstream {
  readonly url: string;
  start(): Promise<void>;
  /**
   * `SIGTERM` is the graceful stop: it answers the requests that it has and accepts no more. Resolves when it has
   * exited.
   */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** How often each delivery was processed, by id. */
  deliveries(): Map<string, number>;
}

/** `delay`: milliseconds before each response. */
export function recordingUpstream(options: { port: number; recordFile: string; delay: number }): RecordingUpstream {
  const { port, recordFile, delay } = options;
  writeFileSync(recordFile, '');
  let ended: Promise<unknown> = Promise.resolve();
  let kill: (signal: NodeJS.Signals) => void = () => {};
  return {
    url: `http://127.0.0.1:${port}`,
    async start() {
      const args = [fileURLToPath(import.meta.url), String(port), recordFile, String(delay)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      ended = new Promise((resolve) => child.once('exit', resolve));
      kill = (signal) => child.kill(signal);
      await new Promise((resolve, reject) => {
        child.stdout.once('data', resolve);
        child.once('exit', () => reject(new Error('the upstream ended before it listened')));
      });
    },
    async stop(signal) {
      kill(signal);
      await ended;
    },
    deliveries() {
      const counts = new Map<string, number>();
      for (const id of readFileSync(recordFile, 'utf8').split('\n')) {
        if (id !== '') counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return counts;
    },
  };
}

function main([port, recordFile = '', delay]: readonly string[]): void {
  let stopping = false;
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { id } = JSON.parse(Buffer.concat(pieces).toString('utf8')) as { id: string };
      appendFileSync(recordFile, `${id}\n`);
      if (id.includes('hang')) return;
      setTimeout(() => {
        if (stopping) response.shouldKeepAlive = false;
        response.end('ok');
      }, Number(delay));
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(text)));
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
  process.once('SIGTERM', () => {
    stopping = true;
    server.close(() => process.exit(0));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
