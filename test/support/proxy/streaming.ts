// A `test` with one proxy for its file, in front of an upstream that streams. After each test, nothing is in flight, no
// byte is held and every slot is free.
import { test as base } from 'vitest';
import { sendTo } from '../http/raw-client.ts';
import type { LogLine } from '../machine/child-output.ts';
import { type StreamingUpstream, startStreamingUpstream } from '../upstream/streams.ts';
import { expectSlotsFree, untilAtRest } from './at-rest.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from './image-env.ts';
import { type RunningProxy, startProxy } from './proxy.ts';

export const MIB = 1024 * 1024;
/** More than all buffers on the way hold. */
export const SIZE = 128 * MIB;
/** Milliseconds of `idleTimeout` on `/open/*`; of `/steady/*`; that of `/patient/*` is longer than any test. */
export const IDLE = 700;
export const STEADY = 2000;
const SLOTS = 4;

export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures are wanted from the pattern
  .extend('upstream', { scope: 'file' }, async ({}, { onCleanup }) => {
    const upstream = await startStreamingUpstream();
    onCleanup(upstream.close);
    return upstream;
  })
  .extend('proxy', { scope: 'file' }, async ({ upstream }, { onCleanup }) => {
    const proxy = await startFor(upstream);
    onCleanup(async () => void (await proxy.stop()));
    return proxy;
  })
  .extend('released', { auto: true }, ({ proxy }, { onCleanup }) =>
    onCleanup(async () => {
      await untilAtRest(proxy);
      await expectSlotsFree(proxy, { slots: SLOTS, target: '/patient/0' });
    }),
  )
  /** Sends these bytes on a new connection. */
  .extend(
    'begin',
    ({ proxy }) =>
      (bytes: string) =>
        sendTo(proxy, bytes),
  );

function startFor(upstream: StreamingUpstream): Promise<RunningProxy> {
  return startProxy({
    flags: IMAGE_FLAGS,
    env: IMAGE_ENV,
    config: {
      upstream: { url: upstream.url, connections: SLOTS, idleTimeout: `${IDLE}ms` },
      routes: [
        { path: '/open/*', action: 'forward' },
        { path: '/hasty/*', action: 'forward', responseTimeout: '600ms' },
        { path: '/steady/*', action: 'forward', idleTimeout: `${STEADY}ms` },
        { path: '/patient/*', action: 'forward', idleTimeout: '30s' },
      ],
      log: { requests: 'all' },
    },
    secrets: { current: 'streams-0123456789abcdef0123456789abcdef' },
  });
}

/** The head of a POST. */
export const head = (target: string, ...lines: string[]) =>
  `${[`POST ${target} HTTP/1.1`, 'Host: h', ...lines].join('\r\n')}\r\n\r\n`;

/** The log record of the next request to this path that ends. */
export async function nextRecord(proxy: RunningProxy, path: string, act: () => Promise<unknown>): Promise<LogLine> {
  const records = () => proxy.logs().filter((line) => line.msg === 'request' && line.path === path);
  const before = records().length;
  await act();
  await proxy.waitForLog(() => records().length > before, 'a record');
  return records()[before] ?? {};
}
