// Requests for tests of limits, and what an honest client gets meanwhile.
import { expect } from 'vitest';
import { exchange } from '../http/raw-client.ts';
import { request, signatureLine } from '../http/requests.ts';
import { value } from './proxied.ts';
import type { RunningProxy } from './proxy.ts';

export const GET = 'GET /open/0 HTTP/1.1\r\nHost: h\r\n\r\n';

export const many = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

/** The head of a delivery with this body. */
export function signed(body: string | Buffer, framing = `Content-Length: ${body.length}`): string {
  return request(['POST /notify HTTP/1.1', 'Host: h', signatureLine(body, value('a')), framing]);
}

/** An honest delivery on a new connection gets its 200. */
export async function expectServed(proxy: RunningProxy): Promise<void> {
  const body = Buffer.from('{"honest":true}');
  const response = await exchange(proxy.port, Buffer.concat([Buffer.from(signed(body)), body]));
  expect(response.status).toBe(200);
}
