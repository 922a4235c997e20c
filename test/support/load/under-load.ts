// A proxy and an upstream in their own processes, under a steady load of signed deliveries.
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { sign } from '../deliveries/signer.ts';
import type { LogLine } from '../machine/child-output.ts';
import { testDirectory } from '../machine/files.ts';
import { freePort } from '../machine/free-port.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { waitFor } from '../runner/wait-for.ts';
import { recordingApp } from '../upstream/recording-app.ts';
import type { Delivery } from './paced-load.ts';

/** `config` may name files in its directory. */
export async function startUnderLoad(
  config: (directory: string) => object,
  secrets?: Readonly<Record<string, string>>,
) {
  const directory = await testDirectory();
  const upstream = recordingApp({ port: await freePort(), recordFile: join(directory, 'record') });
  await upstream.start();
  onTestFinished(() => upstream.stop());
  // No concurrent test answers there once the proxy has stopped.
  const listen = { port: await freePort() };
  const proxy = await startProxy({
    config: { ...config(directory), listen, upstream: { url: upstream.url } },
    ...(secrets === undefined ? {} : { secrets }),
  });
  onTestFinished(async () => void (await proxy.stop()));
  return { proxy, upstream, directory };
}

/** The requested rate a second. A slow machine may not reach it: tests look at the counts. */
export const RATE = Number(process.env.LOAD_RATE ?? 2000);

/** A delivery of about 300 bytes, with its own number in its body. */
export function delivery(nth: number, secret: string): Delivery {
  const id = String(nth);
  const body = JSON.stringify({ id, event: 'item.updated', note: 'x'.repeat(250) });
  return {
    id,
    path: '/notify',
    body,
    headers: { 'content-type': 'application/json', 'entrupy-signature': sign(secret, body) },
  };
}

/** Makes the change; returns the first matching log line that was not there before. */
export async function lineAfter(
  proxy: RunningProxy,
  satisfies: (line: LogLine) => boolean,
  change: () => Promise<unknown>,
): Promise<LogLine> {
  const lines = () => proxy.logs().filter(satisfies);
  const before = lines().length;
  await change();
  return waitFor(() => lines()[before] ?? Promise.reject(new Error('no such line')));
}

/** Paces a test: for spreading changes over time, never for waiting for one. */
export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
