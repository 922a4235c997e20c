// Sends many requests as raw bytes, each on its own connection, a few at a time, and returns the response to each.
import { connect } from 'node:net';

const AT_ONCE = 8;

export interface Bullet {
  readonly method: string;
  readonly target: string;
  readonly lines: readonly string[];
  readonly body: string;
}

/** The request's bytes, as latin1 text. It asks for the connection to close, so the end of the response is visible. */
export function bytesOf({ method, target, lines, body }: Bullet): string {
  const framing = body === '' ? [] : [`Content-Length: ${body.length}`];
  const head = [`${method} ${target} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines, ...framing];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** Everything that came back for each request, as latin1 text; empty if the connection closed or stayed silent. */
export async function fire(port: number, bullets: readonly Bullet[], deadline: number): Promise<string[]> {
  const answers: string[] = [];
  let next = 0;
  const shooter = async () => {
    for (let index = next++; index < bullets.length; index = next++) {
      const bullet = bullets[index];
      if (bullet !== undefined) answers[index] = await shoot(port, bytesOf(bullet), deadline);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, shooter));
  return answers;
}

function shoot(port: number, bytes: string, deadline: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const to = { port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true };
    const socket = connect(to, () => socket.write(bytes, 'latin1'));
    const timer = setTimeout(() => socket.destroy(), deadline);
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => {
      answer += piece;
    });
    // A reset leaves nothing behind. Where the kernel tracks connections (podman's firewall does), an orderly end is kept
    // for 120 s, and a hundred thousand of them fill its table: it then drops new connections.
    socket.on('end', () => socket.resetAndDestroy());
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** The status of a response; 0 if there is none. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
}
