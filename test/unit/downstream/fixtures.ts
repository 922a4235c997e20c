// A listener's limits and certificate, and a client's connection to it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { makeIdentity } from '../../support/tls/x509.ts';

/** No test here reaches them. */
export const LIMITS = {
  connections: 100,
  keepAlive: 60_000,
  headersTimeout: 60_000,
  connectionAge: 3_600_000,
  whenMany: 'keep',
  maxHeader: 16_384,
  unreadAnswers: 100,
  tls: null,
} as const;

export type Over = 'TCP' | 'TLS';

const { certificate, key } = makeIdentity({ name: 'proxy' });
const IDENTITY = { cert: Buffer.from(certificate), key: Buffer.from(key) };

/** The limits, and the certificate for TLS. */
export const limitsOver = (over: Over) => ({ ...LIMITS, tls: over === 'TLS' ? IDENTITY : null });

/** Resolves once the handshake is done, if there is one. */
export async function connectOver(over: Over, port: number): Promise<Socket> {
  const to = { port, host: '127.0.0.1' };
  const socket = over === 'TLS' ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  socket.on('error', () => {});
  await once(socket, over === 'TLS' ? 'secureConnect' : 'connect');
  return socket;
}
