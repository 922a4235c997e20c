// One request for each reason, with a marker in its secret, signature, body, query and headers, and the configuration
// under which each reason is met. The marker must never be found in anything that the proxy says.
import { createHash, createHmac } from 'node:crypto';
import { sign } from '../support/deliveries/signer.ts';

export const MARK = 'M4rkT3xt';
export const SECRETS = {
  current: `${MARK}-secret-current-0123456789abcdef`,
  other: `${MARK}-secret-other-0123456789abcdef`,
  expired: `${MARK}-secret-expired-0123456789abcdef`,
};
export const BODY = `{ "note": "${MARK}-body", "n": 1 }`;
const [RIGHT, EXPIRED] = [sign(SECRETS.current, BODY), sign(SECRETS.expired, BODY)];

/** What must not be found: the markers, and what gives a secret or a signature away in another spelling. */
export const FORBIDDEN: readonly string[] = [
  MARK,
  ...Object.values(SECRETS).flatMap((secret) => [
    Buffer.from(secret).toString('base64').slice(0, 20),
    Buffer.from(secret).toString('hex'),
    createHash('sha256').update(secret).digest('hex'),
    createHash('sha256').update(secret).digest('base64'),
    createHmac('sha256', secret).update(BODY).digest('hex'),
    sign(secret, BODY).slice('SHA256:'.length),
    sign(secret, '').slice('SHA256:'.length),
  ]),
];

const SEEDED = [
  `Authorization: Bearer ${MARK}-authorization`,
  `Cookie: session=${MARK}-cookie`,
  `User-Agent: ${MARK}-agent`,
  `Referer: http://a/${MARK}-referer`,
  `X-Forwarded-For: ${MARK}-forwarded`,
  `X-Custom: ${MARK}-custom`,
  `traceparent: 00-${MARK}-trace-01`,
];

export interface Sent {
  readonly target?: string;
  readonly method?: string;
  readonly signature?: string;
  readonly body?: string;
  readonly lines?: readonly string[];
  /** In place of the declared length. */
  readonly length?: string;
}

/** The request as it goes over the wire. */
export function wire({
  target = '/notify',
  method = 'POST',
  signature,
  body = BODY,
  lines = [],
  length,
}: Sent): string {
  const head = [`${method} ${target}?token=${MARK}-query HTTP/1.1`, `Host: ${MARK}-host`, ...SEEDED, ...lines];
  if (signature !== undefined) head.push(`Entrupy-Signature: ${signature}`);
  return [...head, `Content-Length: ${length ?? Buffer.byteLength(body)}`, '', body].join('\r\n');
}

const compact = JSON.stringify(JSON.parse(BODY));
const hexDigest = createHmac('sha256', SECRETS.current).update(BODY).digest('hex');

/** A request for each reason, and the mistakes that the diagnosis knows; the status that shows that it was met. */
export const REQUESTS: readonly (readonly [string, Sent, number])[] = [
  ['accepted', { signature: RIGHT }, 200],
  ['forwarded', { target: '/open' }, 200],
  ['reported', { target: '/reported', signature: 'SHA256:x' }, 200],
  ['reported for its body', { target: '/reported', signature: sign('x', BODY) }, 200],
  ['bad_request', { lines: [`Script_Name: ${MARK}`] }, 400],
  ['bad_request by the parser', { lines: [`${MARK} : x`] }, 400],
  ['bad_request for a fragment', { target: `/notify#${MARK}` }, 400],
  ['header_too_large', { lines: [`X-Large: ${MARK.repeat(1000)}`] }, 431],
  ['route_rejected', { target: '/gone' }, 404],
  ['method_not_allowed', { method: 'PUT' }, 405],
  ['no_live_secret', { target: '/unready', signature: RIGHT }, 503],
  ['missing_signature', {}, 401],
  ['multiple_signatures', { signature: RIGHT, lines: [`Entrupy-Signature: ${RIGHT}`] }, 401],
  ['malformed_signature', { signature: `SHA256:${MARK}` }, 401],
  ['unsupported_algorithm', { signature: `${MARK}:${RIGHT.slice(7)}` }, 401],
  ['body_too_large', { signature: RIGHT, length: '2000000' }, 413],
  ['overloaded', { signature: sign(SECRETS.current, 'x'.repeat(200_000)), body: 'x'.repeat(200_000) }, 503],
  ['body_timeout', { signature: RIGHT, length: '500' }, 408],
  ['signature_mismatch', { signature: sign('x', BODY) }, 401],
  ['expired_secret', { signature: EXPIRED }, 401],
  ['hint: newline', { signature: sign(`${SECRETS.current}\n`, BODY) }, 401],
  ['hint: hexadecimal', { signature: `SHA256:${hexDigest}` }, 401],
  ['hint: another route', { signature: sign(SECRETS.other, BODY) }, 401],
  ['hint: compacted', { signature: sign(SECRETS.current, compact) }, 401],
  ['bad_gateway', { target: '/open/cut' }, 502],
  ['gateway_timeout', { target: '/open/silent' }, 504],
];

export const ENV = { CURRENT: SECRETS.current, OTHER: SECRETS.other, EXPIRED: SECRETS.expired };

/** What people paste where `env:` takes a variable's name, and what could be one. */
export const PASTED = `f00d${MARK}5ecretf00d${MARK}5ecret`;

export const CONFIG = {
  secrets: [
    { id: 'current', env: 'CURRENT' },
    { id: 'other', env: 'OTHER' },
    { id: 'expired', env: 'EXPIRED', notAfter: '2020-01-01T00:00:00Z' },
    { id: 'absent', env: PASTED },
  ],
  routes: [
    { path: '/notify', secrets: ['current', 'expired'] },
    { path: '/second', secrets: ['other'] },
    { path: '/unready', secrets: ['absent'] },
    { path: '/reported', mode: 'report' },
    { path: '/open', action: 'forward' },
    { path: '/open/*', action: 'forward', responseTimeout: '1s' },
    { path: '/gone', action: 'reject' },
  ],
  limits: { maxHeader: '4KiB', headersTimeout: '1s', bodyTimeout: '1s', bufferedBytes: '128KiB' },
  log: { level: 'debug', requests: 'all' },
};
