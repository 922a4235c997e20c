// Requests as bytes, for clients on raw sockets. Each holds what is written here and what the test adds, nothing else.
import { sign } from '../deliveries/signer.ts';

interface Post {
  readonly target?: string;
  /** Lines before the framing. */
  readonly lines?: readonly string[];
}

/** A request head and its body, with nothing added. */
export function request(head: readonly string[], body = ''): string {
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

export function get(target: string, lines: readonly string[] = []): string {
  return request([`GET ${target} HTTP/1.1`, 'Host: a', ...lines]);
}

/** A POST of latin1 text with a length, unsigned unless `lines` say otherwise. */
export function post(body: string, { target = '/notify', lines = [] }: Post = {}): string {
  return request([`POST ${target} HTTP/1.1`, 'Host: a', ...lines, `Content-Length: ${body.length}`], body);
}

/** A body of latin1 text in chunks of at most `size` bytes; in one unless given. */
export function inChunks(body: string, size = body.length): string {
  let chunks = '';
  for (let at = 0; at < body.length; at += size) {
    const piece = body.slice(at, at + size);
    chunks += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${chunks}0\r\n\r\n`;
}

/** `Entrupy-Signature` for a body of bytes or latin1 text. */
export function signatureLine(body: string | Buffer, secret: string): string {
  return `Entrupy-Signature: ${sign(secret, Buffer.from(body as string, 'latin1'))}`;
}

export function delivery(body: string, secret: string, { target, lines = [] }: Post = {}): string {
  return post(body, { ...(target && { target }), lines: [signatureLine(body, secret), ...lines] });
}
