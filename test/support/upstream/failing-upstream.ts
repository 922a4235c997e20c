// An upstream that fails some requests, chosen by a seed and not by chance, and records what it did with each attempt.
// It has several doors (ports), so a test sees which proxy an attempt came through.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** `cut late`: after the head of a 200 and part of its body, which is not an acknowledgement. */
export type Outcome = 'acknowledged' | '500' | 'cut' | 'cut late';

export interface Attempt {
  readonly id: string;
  /** The index of the door. */
  readonly door: number;
  readonly outcome: Outcome;
}

export interface FailingUpstream {
  /** One for each door. */
  readonly urls: readonly string[];
  /** In the order in which they ended. */
  readonly attempts: readonly Attempt[];
}

export interface FailingOptions {
  readonly doors: number;
  /** The fate of an event's nth attempt, counted from 0. */
  readonly outcome: (id: string, nth: number) => Outcome;
  /** Milliseconds until it ends. */
  readonly delay: (id: string, nth: number) => number;
  /** Called right after the bytes were handed to the kernel. */
  readonly onEnd: (attempt: Attempt) => void;
}

/** Bodies are JSON with an `id`. Ends with the test. */
export async function startFailingUpstream(options: FailingOptions): Promise<FailingUpstream> {
  const attempts: Attempt[] = [];
  const tries = new Map<string, number>();
  const take = (door: number, body: Buffer, response: ServerResponse) => {
    const { id } = JSON.parse(body.toString('utf8')) as { id: string };
    const nth = tries.get(id) ?? 0;
    tries.set(id, nth + 1);
    const outcome = options.outcome(id, nth);
    setTimeout(
      () => {
        end(response, outcome);
        attempts.push({ id, door, outcome });
        options.onEnd({ id, door, outcome });
      },
      options.delay(id, nth),
    );
  };
  const open = async (door: number) => {
    const server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('error', () => {});
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => take(door, Buffer.concat(pieces), response));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const urls = await Promise.all(Array.from({ length: options.doors }, (_, door) => open(door)));
  return { urls, attempts };
}

/** An attempt counts as done even if no client is left to hear of it. */
function end(response: ServerResponse, outcome: Outcome): void {
  switch (outcome) {
    case 'acknowledged':
      response.end('{"status":"taken"}');
      return;
    case '500':
      response.writeHead(500).end('{"error":"failed"}');
      return;
    case 'cut':
      response.destroy();
      return;
    case 'cut late':
      response.writeHead(200, { 'content-length': '100' }).write('{"status":', () => response.destroy());
      return;
    default:
      outcome satisfies never;
  }
}
