// Pipelined requests without end do not fill the memory.
// A read of 64 KiB can hold 1,900 requests. A server that starts them all at once holds 6 KB for each, so 30
// connections would end the process. Each flood lasts nine seconds, on its own proxy.
import { test } from 'vitest';
import { type Flood, repeated } from '../support/load/flood.ts';
import {
  expectFlooded,
  expectUnhurt,
  expectWithinMemory,
  flooded,
  startFloodedProxy,
} from '../support/load/flooded.ts';

const KIB = 1024;
const PIPELINED = repeated('GET /nope HTTP/1.1\r\nHost: a\r\n\r\n', 64 * KIB);

test.each([
  { port: 'traffic', connections: 30, reads: true },
  { port: 'traffic', connections: 30, reads: false },
  { port: 'traffic', connections: 200, reads: true },
  { port: 'traffic', connections: 200, reads: false },
  { port: 'traffic', connections: 1024, reads: true },
  { port: 'traffic', connections: 1024, reads: false },
  { port: 'admin', connections: 30, reads: true },
  { port: 'admin', connections: 30, reads: false },
  { port: 'admin', connections: 200, reads: true },
  { port: 'admin', connections: 200, reads: false },
])('$connections connections to the $port port, reading: $reads', async ({ port, connections, reads }) => {
  const proxy = await startFloodedProxy();
  const flood: Flood = {
    port: port === 'admin' ? proxy.adminPort : proxy.port,
    connections,
    first: PIPELINED,
    next: 'pour',
    deaf: !reads,
  };
  const outcome = await flooded(proxy, flood);
  expectFlooded(outcome, flood);
  expectUnhurt(outcome);
  expectWithinMemory(outcome);
});
