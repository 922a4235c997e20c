// Seeded requests, each with the bytes that must arrive at the upstream, written out by the rule of docs/security.md.

import { sign } from '../deliveries/signer.ts';
import { seeded, shuffled } from '../runner/seeded.ts';
import {
  arriving,
  chunkedLine,
  gone,
  hopByHopLines,
  inChunks,
  type Line,
  lengthLine,
  line,
  ordinaryLine,
  pick,
  some,
  spelt,
  trailerLines,
} from './generated-lines.ts';

export interface GeneratedRequest {
  readonly method: string;
  readonly sent: string;
  /** The head that must arrive, with its blank line. */
  readonly head: string;
  readonly body: string;
  readonly trailers: readonly string[];
}

interface Shape {
  readonly route: 'open' | 'report' | 'notify';
  readonly framing: 'none' | 'length' | 'chunked';
  readonly version: '1.0' | '1.1';
  readonly isSigned: boolean;
  readonly body: string;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'M-SEARCH'] as const;
const TARGETS = ['?', '?b=2&&a=%7e&=', '?q={a|b}&p=100%&\'"<>`^\\', '?//../x;y'] as const;
const BODIES = ['{"a":1}', '', 'a\0b\r\n\r\nPOST / HTTP/1.1\r\n', '\xff\x80caf\xe9', 'x'.repeat(300)] as const;

/** `keepsSockets`: false if the proxy is configured to reuse no upstream socket. */
export function generateRequest(seed: number, options: { secret: string; keepsSockets: boolean }): GeneratedRequest {
  const random = seeded(seed);
  const shape = anyShape(random);
  const method = shape.route === 'notify' || shape.isSigned ? 'POST' : pick(random, METHODS);
  const target = `${shape.route === 'open' ? '/open/a;b=c/%41%2F/x' : `/${shape.route}`}${pick(random, TARGETS)}`;
  const lines = headLines(random, shape, options.secret);
  const trailers = shape.framing === 'chunked' ? trailerLines(random) : [];
  const staysChunked = shape.framing === 'chunked' && !shape.isSigned;
  const hasUnverifiedBody = !shape.isSigned && (staysChunked || shape.body !== '');
  const closing = hasUnverifiedBody || !options.keepsSockets ? ['Connection: close'] : [];
  const payload = shape.framing === 'chunked' ? inChunks(random, shape.body, trailers) : shape.body;
  const sent = [`${method} ${target} HTTP/${shape.version}`, ...lines.map((each) => each.sent), '', payload];
  const head = [`${method} ${target} HTTP/1.1`, ...arriving(lines), ...closing, '', ''];
  return {
    method,
    sent: sent.join('\r\n'),
    head: head.join('\r\n'),
    body: shape.body,
    trailers: staysChunked ? arriving(trailers) : [],
  };
}

function anyShape(random: () => number): Shape {
  const route = pick(random, ['open', 'report', 'notify'] as const);
  const framing = pick(random, ['none', 'length', 'chunked'] as const);
  const version = framing !== 'chunked' && random() < 0.1 ? '1.0' : '1.1';
  const isSigned = route === 'notify' || (route === 'report' && random() < 0.3);
  return { route, framing, version, isSigned, body: framing === 'none' ? '' : pick(random, BODIES) };
}

/** In any order: the client also chooses where Host and the framing lines stand. */
function headLines(random: () => number, shape: Shape, secret: string): Line[] {
  const staysChunked = shape.framing === 'chunked' && !shape.isSigned;
  const host = line(random, spelt(random, 'Host'), pick(random, ['h', 'Example.COM:80', '[::1]:8080']));
  const signature = line(random, spelt(random, 'Entrupy-Signature'), sign(secret, Buffer.from(shape.body, 'latin1')));
  const expect = gone(random, 'Expect', pick(random, ['100-continue', '100-Continue']));
  const trailer = line(random, spelt(random, 'Trailer'), 'X-Checksum, X-Row-Count');
  return shuffled(
    [
      host,
      ...some(random, 12, () => ordinaryLine(random)),
      ...hopByHopLines(random),
      ...framingLines(random, shape),
      ...(shape.isSigned ? [signature] : []),
      ...(shape.framing !== 'none' && random() < 0.2 ? [expect] : []),
      ...(random() < 0.3 ? [staysChunked ? trailer : { ...trailer, arrives: null }] : []),
      ...(random() < 0.2 ? [gone(random, 'TE', 'gzip;q=0.5')] : []),
    ],
    random,
  );
}

/** Rewritten in place: a verified body has a length, however it came. */
function framingLines(random: () => number, { framing, body, isSigned }: Shape): Line[] {
  if (framing === 'none') return [];
  const length = `Content-Length: ${body.length}`;
  if (framing === 'length') return [lengthLine(random, String(body.length), length)];
  const arrives = isSigned ? length : 'Transfer-Encoding: chunked';
  return [chunkedLine(random, arrives)];
}
