// The check that the Node peers use: naive and short, one secret, whole bodies. The peers are plain JavaScript, so none
// of them pays for type stripping at its start. It must never import the product, which is measured against it.
import { createHmac, timingSafeEqual } from 'node:crypto';

const { SECRET = '', PORT = '0', UPSTREAM = '' } = process.env;

export const port = Number(PORT);
// A process killed by a signal writes no profile.
process.on('SIGTERM', () => process.exit());

/** The upstream's origin. */
export const upstream = UPSTREAM;

/** @param {string | undefined} given @param {Buffer} body */
export function isSigned(given, body) {
  if (given === undefined) return false;
  const want = Buffer.from(`SHA256:${createHmac('sha256', SECRET).update(body).digest('base64')}`);
  const got = Buffer.from(given);
  return got.length === want.length && timingSafeEqual(got, want);
}

/** @param {import('node:http').IncomingMessage} request @param {(body: Buffer) => void} done */
export function readWhole(request, done) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => done(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
}

/** @param {import('node:http').ServerResponse} response */
export function unauthorized(response) {
  response.writeHead(401, { 'content-type': 'application/json' });
  response.end('{"error":"unauthorized"}');
}
