// Checks whether an address accepts connections, and which dates of its certificates are wrong.
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** True if a connect without TLS succeeds within `milliseconds`. */
export function acceptsConnection(to: NetConnectOpts, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...to, signal: AbortSignal.timeout(milliseconds) });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
  });
}

export interface CertificateDates {
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * The dates of the first certificate that has ended or not begun, of the chain that the server sends; null if none is
 * seen within `milliseconds`. `socket` checks no certificate, so it must send nothing, and is destroyed.
 */
export async function wrongDates(socket: Socket, milliseconds: number): Promise<CertificateDates | null> {
  const signal = AbortSignal.timeout(milliseconds);
  const isThere = await once(socket, 'secureConnect', { signal }).catch(() => null);
  const seen =
    isThere !== null && 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate(true) : null;
  socket.on('error', () => {}).destroy();
  const checked = new Set<object>();
  for (let one = seen; one && Object.hasOwn(one, 'valid_to') && !checked.has(one); one = one.issuerCertificate) {
    checked.add(one);
    const [notBefore, notAfter] = [Date.parse(one.valid_from), Date.parse(one.valid_to)];
    if (notBefore > Date.now() || notAfter < Date.now()) return { notBefore, notAfter };
  }
  return null;
}
