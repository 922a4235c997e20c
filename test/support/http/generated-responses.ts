// Seeded responses, each with the bytes that the client must get, written out by the rule of docs/security.md.

import { seeded, shuffled } from '../runner/seeded.ts';
import {
  arriving,
  chunkedLine,
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

export interface GeneratedResponse {
  /** The client's request. */
  readonly method: 'GET' | 'HEAD';
  readonly sent: string;
  /** True if the upstream closes after it. */
  readonly closes: boolean;
  /** The status line and the lines that must arrive. */
  readonly head: readonly string[];
  /** The same for the interim responses before it. */
  readonly interim: readonly (readonly string[])[];
  readonly body: string;
  readonly trailers: readonly string[];
}

const SHAPES = ['length', 'length', 'chunked', 'chunked', 'close', 'empty', 'HEAD'] as const;
type Shape = (typeof SHAPES)[number];

const REASONS = [
  'OK',
  '',
  'Alles gut',
  'd\xe9j\xe0 vu',
  '\xe2\x9c\x85 \xf0\x9f\x91\x9c',
  'a  b\tc',
  '\xff',
  "(:'*",
] as const;
const NAMES = ['Set-Cookie', 'set-cookie', 'Server', 'Vary', 'WWW-Authenticate', 'Location', 'ETag', 'X_Under_Score'];
const VALUES = ['', 'a=1; Path=/', '//elsewhere/../x', 'Basic realm="a", Bearer', 'caf\xe9', '\xa0'] as const;
const BODIES = ['{"status":"ok"}', '', 'a\0b\xff\n', 'HTTP/1.1 200 OK\r\n\r\n', 'x'.repeat(300)] as const;
const WITHOUT_BODY = [204, 304];
const ODD = [204, 205, 304];

export function generateResponse(seed: number): GeneratedResponse {
  const random = seeded(seed);
  const shape = pick(random, SHAPES);
  const body = shape === 'empty' || shape === 'HEAD' ? '' : pick(random, BODIES);
  const version = (shape === 'length' || shape === 'close') && random() < 0.2 ? '1.0' : '1.1';
  const status = `${anyStatus(random, shape)} ${pick(random, REASONS)}`;
  const lines = headLines(random, shape, body);
  const trailers = shape === 'chunked' ? trailerLines(random) : [];
  const interim = random() < 0.25 ? [some(random, 3, () => responseLine(random))] : [];
  const payload = shape === 'chunked' ? inChunks(random, body, trailers) : body;
  const sent = [
    ...interim.flatMap((hints) => ['HTTP/1.1 103 Early Hints', ...hints.map((each) => each.sent), '']),
    ...[`HTTP/${version} ${status}`, ...lines.map((each) => each.sent), '', payload],
  ];
  return {
    method: shape === 'HEAD' ? 'HEAD' : 'GET',
    sent: sent.join('\r\n'),
    closes: shape === 'close',
    // A body that lasts until the close gets new framing, since the client's connection stays open.
    head: [`HTTP/1.1 ${status}`, ...arriving(lines), ...(shape === 'close' ? ['Transfer-Encoding: chunked'] : [])],
    interim: interim.map((hints) => ['HTTP/1.1 103 Early Hints', ...arriving(hints)]),
    body,
    trailers: arriving(trailers),
  };
}

function anyStatus(random: () => number, shape: Shape): number {
  if (shape === 'empty') return pick(random, WITHOUT_BODY);
  const status = 200 + Math.floor(random() * 400);
  return ODD.includes(status) ? 200 : status;
}

const responseLine = (random: () => number): Line =>
  random() < 0.5 ? ordinaryLine(random) : line(random, pick(random, NAMES), pick(random, VALUES));

function headLines(random: () => number, shape: Shape, body: string): Line[] {
  const trailer = line(random, spelt(random, 'Trailer'), 'X-Checksum, X-Row-Count');
  return shuffled(
    [
      ...some(random, 12, () => responseLine(random)),
      ...hopByHopLines(random),
      ...framingLines(random, shape, body),
      ...(random() < 0.3 && shape === 'chunked' ? [trailer] : []),
      ...(random() < 0.3 && shape === 'length' ? [{ ...trailer, arrives: null }] : []),
    ],
    random,
  );
}

function framingLines(random: () => number, shape: Shape, body: string): Line[] {
  const length = (value: string) => lengthLine(random, value);
  if (shape === 'length') return [length(String(body.length))];
  // A response to HEAD gives the length that a GET would have, in more digits than a number holds.
  if (shape === 'HEAD')
    return random() < 0.5 ? [] : [length(pick(random, ['12345', '9007199254740993', '18446744073709551615']))];
  if (shape !== 'chunked') return [];
  return [chunkedLine(random, 'Transfer-Encoding: chunked')];
}
