// Whether a peer takes bytes: node's word for it is not enough.
import { expect, test } from 'vitest';
import { SocketProgress } from '../../../src/wire/socket-progress.ts';
import { socketPair } from '../../support/machine/listening.ts';

test('a peer has stopped reading only once two looks at the kernel have shown it, however long node hears nothing', async () => {
  const [near, far] = await socketPair();
  near.on('error', () => {}); // at the test's end it is not all written
  far.pause();
  near.write(Buffer.alloc(64 * 1024 * 1024));
  const progress = new SocketProgress();
  progress.idleFor(near, 0);
  const hasStopped = () => progress.takesNothing(near, 1000, performance.now() + 60_000);
  expect(hasStopped()).toBe(false);
  await expect.poll(hasStopped).toBe(true);
});
