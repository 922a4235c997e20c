// Drains that end by themselves, with a fake clock, and what readiness asks of the upstream.
import { beforeEach, expect, test, vi } from 'vitest';
import { END_MS } from '../../../src/base/blocked-threads.ts';
import { Readiness } from '../../../src/runtime/readiness.ts';
import type { LiveRuleset } from '../../../src/runtime/reload.ts';
import { Shutdown } from '../../../src/runtime/shutdown.ts';

const MINUTE = 60_000;
const RULESET = {
  loaded: {
    config: {
      admin: { readyNeedsUpstream: false },
      shutdown: { delay: 5000, grace: 1000 },
    },
  },
  policy: { routes: { all: [] } },
};

function alive() {
  const said: string[] = [];
  const listener = {
    inFlight: 0,
    draining: false,
    startDraining() {
      listener.draining = true;
      said.push('closing');
    },
    stopDraining() {
      listener.draining = false;
      said.push('persisting');
    },
    stopAccepting: async () => void said.push('not accepting'),
    refuseRest: async () => {},
    cutAll: () => {},
  };
  const log = { info: () => {}, warn: () => {} };
  const upstream = { failure: async () => 'ECONNREFUSED', close: () => said.push('cut upstream') };
  const pipeline = { settled: async () => {}, endWaits: () => {} };
  const redelivery = { stopSending: () => {}, settled: async () => {} };
  const services = { listener, log, upstream, pipeline, redelivery, once: () => null };
  const live = { ruleset: RULESET, services } as unknown as LiveRuleset;
  const shutdown = new Shutdown(live);
  const readiness = new Readiness(live);
  readiness.started = true;
  return { shutdown, readiness, listener, pipeline, said };
}

beforeEach(() => void vi.useFakeTimers());

test('a drain ends 10 minutes after it was last asked for: ready again, connections persist again', async () => {
  const { shutdown, readiness, listener, said } = alive();
  shutdown.drain();
  expect(await readiness.now()).toEqual({ ready: false, causes: ['draining'], error: null });
  vi.advanceTimersByTime(9 * MINUTE);
  shutdown.drain();
  vi.advanceTimersByTime(10 * MINUTE - 1);
  expect(listener.draining).toBe(true);
  vi.advanceTimersByTime(1);
  expect(await readiness.now()).toEqual({ ready: true, causes: [], error: null });
  expect(said).toEqual(['closing', 'closing', 'persisting']);
});

test('after a stop, a drain no longer ends by itself', async () => {
  const { shutdown, listener, said } = alive();
  shutdown.drain();
  vi.advanceTimersByTime(1000);
  shutdown.drain(); // the delay counts from the first
  vi.advanceTimersByTime(1000);
  const stopped = shutdown.stop({ delay: 'keep' });
  await vi.advanceTimersByTimeAsync(2999);
  expect(said).not.toContain('not accepting');
  await vi.advanceTimersByTimeAsync(1);
  expect(said).toContain('not accepting');
  await stopped;
  shutdown.drain();
  vi.advanceTimersByTime(20 * MINUTE);
  expect(listener.draining).toBe(true);
  expect(said).not.toContain('persisting');
});

test('a stop waits `grace` for a delivery without a client, and ends soon after, also if that never ends', async () => {
  const { shutdown, pipeline, said } = alive();
  pipeline.settled = () => new Promise(() => {});
  const stopped = shutdown.stop({ delay: 'skip' });
  await vi.advanceTimersByTimeAsync(999);
  expect(said).not.toContain('cut upstream');
  await vi.advanceTimersByTimeAsync(1 + END_MS.close);
  expect(await stopped).toMatchObject({ cut: 0 });
});
