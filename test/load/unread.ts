// What the kernel holds of answers that nobody reads: 1,000 of 1 MiB on a forward route, with net.ipv4.tcp_wmem's
// greatest value at 64 KiB, 256 KiB and 4 MiB (the default). Each in a network namespace of its own, where root may set
// it: `npm run load:unread`, as root. The kernel counts TCP's memory over all namespaces, and with it the buffers of
// clients and upstream; `ss` tells those of the proxy's own sockets.
// MEMORY=128 puts the proxy into a memory cgroup of so many MiB (cgroup v1 or v2, where this process may make one), which
// bounds the number of unread answers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { heldBySockets, watchMemory } from '../support/machine/memory.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const KIB = 1024;
const MIB = KIB * KIB;
const CLIENTS = Number(process.env.CLIENTS ?? 1000);
const SETTINGS = [64 * KIB, 256 * KIB, 4 * MIB];
const HOLD_MS = 6_000;
const ADDRESSES = 200;
const IS_V2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
const CGROUPS = `/sys/fs/cgroup/${IS_V2 ? '' : 'memory/'}`;
const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const SELF = fileURLToPath(import.meta.url);

/** Makes a memory cgroup for processes that are about to start; null where there is none to make. */
function makeCgroup(mib: number): string | null {
  const directory = `${CGROUPS}entrupy-unread-${process.pid}`;
  try {
    mkdirSync(directory);
    writeFileSync(`${directory}/${IS_V2 ? 'memory.max' : 'memory.limit_in_bytes'}`, String(mib * MIB));
    return directory;
  } catch {
    return null;
  }
}

/** Puts this process, and the children that it then starts, into a cgroup. */
const enter = (directory: string) => writeFileSync(`${directory}/cgroup.procs`, String(process.pid));

/**
 * Bytes that the kernel holds for the proxy's own sockets that match, as a pod's cgroup counts them; the buffers of
 * clients and upstream are not in it. NaN without `ss`.
 */
function ownBuffers(side: 'sport' | 'dport', port: number): number {
  const { stdout } = spawnSync('ss', ['-tmnH', side, '=', `:${port}`], { encoding: 'utf8', maxBuffer: 64 * MIB });
  return stdout === null ? Number.NaN : heldBySockets(stdout);
}

/** One run, in the namespace that it finds itself in. */
async function measure(): Promise<void> {
  const cgroup = process.env.MEMORY === undefined ? null : makeCgroup(Number(process.env.MEMORY));
  if (process.env.MEMORY !== undefined && cgroup === null) console.log('no memory cgroup can be made here');
  const upstream = await startStreamingUpstream();
  // The proxy alone stays in it: upstream and clients, which are this process, leave it again.
  if (cgroup !== null) enter(cgroup);
  const proxy = await startProxy({
    program: PROGRAM,
    flags: IMAGE_FLAGS,
    env: IMAGE_ENV,
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/open/*', action: 'forward' }],
    },
    secrets: { current: 'unread-answers-secret-0123456789abcdef' },
  });
  if (cgroup !== null) enter(CGROUPS);
  const quiet = watchMemory(proxy.pid).stop().socketBuffers;
  const memory = watchMemory(proxy.pid);
  let ended = 0;
  const sockets: Socket[] = [];
  for (let nth = 0; nth < CLIENTS; nth++) {
    const from = `127.0.1.${1 + (nth % ADDRESSES)}`;
    const socket = connect({ port: proxy.port, host: '127.0.0.1', localAddress: from });
    sockets.push(socket);
    socket.pause();
    socket.on('error', () => {});
    socket.once('close', () => ended++);
    socket.write(`GET /open/${MIB} HTTP/1.1\r\nHost: h\r\n\r\n`);
    if (nth % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await new Promise((resolve) => setTimeout(resolve, HOLD_MS));
  const [clients, upstreams] = [ownBuffers('sport', proxy.port), ownBuffers('dport', upstream.port)];
  // A paused socket notices a reset only on a write.
  for (const socket of sockets) socket.write('');
  await new Promise((resolve) => setTimeout(resolve, 500));
  const peak = memory.stop();
  const open = (await proxy.metrics()).get('entrupy_proxy_connections');
  const wmem = readFileSync('/proc/sys/net/ipv4/tcp_wmem', 'utf8').trim().split(/\s+/).join(' ');
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  console.log(
    `tcp_wmem ${wmem}: the proxy's socket buffers hold ${mib(clients)} towards clients and ${mib(upstreams)} towards the upstream, ${mib(peak.socketBuffers - quiet)} at most in all of the machine, ${mib(peak.anonymous)} anonymous of its own; of ${CLIENTS} unread answers ${open} are open, ${ended} clients noticed an end`,
  );
  for (const socket of sockets) socket.resetAndDestroy();
  await proxy.stop();
  await upstream.close();
  if (cgroup !== null) rmdirSync(cgroup);
}

if (process.argv[2] === 'measure') {
  await measure();
} else {
  for (const most of SETTINGS) {
    const set = `ip link set lo up && echo "4096 16384 ${most}" >/proc/sys/net/ipv4/tcp_wmem && exec "$0" "$1" measure`;
    const ran = spawnSync('unshare', ['--net', 'sh', '-c', set, process.execPath, SELF], { stdio: 'inherit' });
    if (ran.status !== 0) console.log(`tcp_wmem ${most}: not measured; this needs root, unshare and ip`);
  }
}
