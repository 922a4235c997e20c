// The clients of a storm: so many new connections a second from one address, each with the same first bytes and then
// silence. Started by test/support/load/storm.ts with the port, the address, the rate and the bytes in hex; runs until its
// parent leaves or tells it to stop.
import { connect, type Socket } from 'node:net';

const [port = '', address = '', rate = '', hex = ''] = process.argv.slice(2);
const first = Buffer.from(hex, 'hex');
const EVERY_MS = 10;

const sockets = new Set<Socket>();
const counts = { opened: 0, ended: 0 };
let due = 0;

function open(): void {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: address });
  sockets.add(socket);
  socket.once('connect', () => {
    counts.opened++;
    socket.write(first);
  });
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.on('end', () => socket.resetAndDestroy());
  socket.once('close', () => {
    counts.ended++;
    sockets.delete(socket);
  });
}

const begun = performance.now();
setInterval(() => {
  due = ((performance.now() - begun) / 1000) * Number(rate) - counts.opened;
  // A busy machine makes up for little of what it missed.
  for (let count = 0; count < Math.min(due, (Number(rate) * EVERY_MS * 3) / 1000); count++) open();
}, EVERY_MS);

process.on('message', () => {
  for (const socket of sockets) socket.resetAndDestroy();
  process.send?.(counts, () => process.exit());
});
process.once('disconnect', () => process.exit());
process.send?.('begun');
