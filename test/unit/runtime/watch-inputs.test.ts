// The time of the next check: a directory event brings it forward, so a change does not wait for the poll.
import { once } from 'node:events';
import { mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { ReloadOutcome } from '../../../src/admin/status-snapshot.ts';
import type { Inputs } from '../../../src/runtime/inputs.ts';
import { Reloader } from '../../../src/runtime/watch-inputs.ts';

const directory = mkdtempSync(join(tmpdir(), 'reload-'));
afterEach(() => {
  vi.useRealTimers();
  rmSync(directory, { recursive: true });
});

test('a directory event makes the reloader check within 100 ms of the clock', async () => {
  const file = join(directory, 'config.yaml');
  writeFileSync(file, '');
  const inputs = { file: null, loaded: { file, config: { secrets: [] } }, tlsFiles: [] } as unknown as Inputs;
  let looks = 0;
  const apply = (): ReloadOutcome => ({ kind: 'applied' });
  const read = async () => {
    looks++;
    return inputs;
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const reloader = new Reloader(inputs, { read, apply, fail: (problem) => ({ kind: 'failed', problems: [problem] }) });
  reloader.start();
  await vi.advanceTimersByTimeAsync(100);
  expect(looks).toBe(0);
  const own = watch(directory);
  const event = once(own, 'change');
  writeFileSync(file, 'x');
  await event;
  own.close();
  // The reloader's watcher came first, so it has had the event.
  await vi.advanceTimersByTimeAsync(100);
  expect(looks).toBe(1);
  reloader.stop();
});
