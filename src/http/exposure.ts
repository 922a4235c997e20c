// Looks whether the upstream's port also answers at the pod's own address, where clients reach it past the proxy.
import { connect } from 'node:net';

const EVERY_MS = 60_000;
const PATIENCE_MS = 1000;

export interface Exposure {
  stop(): void;
}

/** `tell` hears each finding. An address that does not answer within a second is not exposed. */
export function watchExposure(at: { host: string; port: number }, tell: (exposed: boolean) => void): Exposure {
  const look = async () => tell(await answers(at));
  void look();
  const timer = setInterval(look, EVERY_MS).unref();
  return { stop: () => clearInterval(timer) };
}

function answers({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(PATIENCE_MS, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
