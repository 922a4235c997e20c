// A story of hours in front of a real proxy, told in seconds: the proxy's clock is given, and moves on between the
// requests. It ends at the real time.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sign } from '../deliveries/signer.ts';
import { type ProxyOptions, startProxy } from './proxy.ts';

const CLOCK = fileURLToPath(new URL('given-clock.ts', import.meta.url));
const MINUTE_MS = 60_000;

export interface Visit {
  /** Signs with this secret; without one the request has no signature. */
  readonly secret?: string;
  readonly method?: string;
  readonly path?: string;
  /** The client's address, by X-Forwarded-For: the proxy must trust 127.0.0.1. */
  readonly client?: string;
  readonly userAgent?: string;
}

/** A clock for one proxy, so many milliseconds off, and what the proxy is started with to go by it. */
export async function givenClock(directory: string, first = 0) {
  const file = join(directory, 'clock');
  const set = async (off: number) => {
    // In one step: half a number would be another time.
    await writeFile(`${file}.new`, String(off));
    await rename(`${file}.new`, file);
  };
  await set(first);
  return { set, env: { GIVEN_CLOCK: file }, flags: ['--import', CLOCK] };
}

export type Story = Awaited<ReturnType<typeof beginStory>>;

/** Starts the proxy so many minutes before the end. */
export async function beginStory(minutes: number, options: Omit<ProxyOptions, 'flags'>) {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-story-'));
  const { set, env, flags } = await givenClock(directory, -minutes * MINUTE_MS);
  let visits = 0;
  const proxy = await startProxy({ ...options, env: { ...options.env, ...env, GIVEN_MONOTONIC: '1' }, flags });
  return {
    proxy,
    /** Sets the proxy's clock to so many minutes before the story's end. */
    at: (before: number) => set(-before * MINUTE_MS),
    /** Sends one request; returns its status. */
    async visit({ secret, method = 'POST', path = '/notify', client = '203.0.113.7', userAgent = 'Entrupy' }: Visit) {
      const body = JSON.stringify({ event: 'authentication.completed', id: ++visits }); // each is another event
      const response = await fetch(proxy.url + path, {
        method,
        headers: {
          'X-Forwarded-For': client,
          'User-Agent': userAgent,
          Connection: 'close', // hours pass between two visits
          ...(secret !== undefined && { 'Entrupy-Signature': sign(secret, body) }),
        },
        ...(method === 'POST' && { body }),
      });
      await response.arrayBuffer();
      return response.status;
    },
    async end() {
      await proxy.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
