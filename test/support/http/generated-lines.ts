// Seeded header lines that no library would write, each with its expected form. The rule is written out here: name and
// value byte for byte, one colon and one space between them, and no whitespace around them.

export interface Line {
  readonly sent: string;
  /** The line as it must arrive; null if it must not. */
  readonly arrives: string | null;
}

type Random = () => number;

/**
 * Names that are safe in requests and responses. Digits and `Object`'s own names are traps for code that keeps headers
 * in an object.
 */
const NAMES = [
  ...['X-Dup', 'x-dup', 'X-DUP', 'aCCept', 'Content-Type', 'content-type', 'Content-Encoding', 'Cookie', 'cookie'],
  ...[
    'Authorization',
    'Date',
    'Via',
    'X-Forwarded-For',
    'Forwarded',
    'Range',
    'If-Match',
    'Max-Forwards',
    'USER-agent',
  ],
  ...[
    '0',
    '7',
    'constructor',
    'toString',
    'hasOwnProperty',
    "X-!#$%&'*+.^`|~",
    'a',
    'X-a-Z-09',
    'Cache-Control',
    'Pragma',
  ],
] as const;

/** Non-breaking spaces and the like are bytes of a value, although `trim` removes them. */
const VALUES = [
  ...['', 'a', 'a  b\tc', 'caf\xe9', '\xff\x80', '\xa0nbsp\xa0', '\x85', '\xef\xbb\xbfbom', '\xf0\x9f\x91\x9c', ','],
  ...[
    ':',
    'a: b',
    '"quoted, \\" text"',
    'a,,b',
    'Basic Og==',
    'W/"x"',
    '0',
    'close',
    'chunked',
    "'*+.^`|~{}[]()<>@?=;",
  ],
] as const;

const SPACES = ['', ' ', '  ', '\t', ' \t '] as const;

export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Random case for every letter. */
export const spelt = (random: Random, name: string) =>
  [...name].map((letter) => (random() < 0.5 ? letter.toLowerCase() : letter.toUpperCase())).join('');

/** `name` and `value` with whitespace around the value; `arrives` by the rule, unless given. */
export function line(random: Random, name: string, value: string, arrives?: string | null): Line {
  const sent = `${name}:${pick(random, SPACES)}${value}${pick(random, SPACES)}`;
  return { sent, arrives: arrives === undefined ? `${name}: ${value}` : arrives };
}

/** undici's llhttp refuses a tab after a length too, and with it the message. */
export function lengthLine(random: Random, value: string, arrives?: string | null): Line {
  const name = spelt(random, 'Content-Length');
  const sent = `${name}:${pick(random, SPACES)}${value}${pick(random, ['', ' '])}`;
  return { sent, arrives: arrives === undefined ? `Content-Length: ${value}` : arrives };
}

/** llhttp refuses a tab after `chunked`: such a request is refused, and such a response is not chunked. */
export const chunkedLine = (random: Random, arrives: string): Line => ({
  sent: `${spelt(random, 'Transfer-Encoding')}:${pick(random, SPACES)}${spelt(random, 'chunked')}${pick(random, ['', ' '])}`,
  arrives,
});

/** An end-to-end line. */
export function ordinaryLine(random: Random): Line {
  return line(random, pick(random, NAMES), random() < 0.7 ? pick(random, VALUES) : randomValue(random));
}

/** Up to `most` results of `make`. */
export const some = (random: Random, most: number, make: () => Line): Line[] =>
  Array.from({ length: Math.floor(random() * (most + 1)) }, make);

/** Every byte that a value may hold: visible characters, obs-text, and whitespace inside. */
function randomValue(random: Random): string {
  const visible = () => String.fromCharCode(random() < 0.3 ? 0x80 + random() * 0x80 : 0x21 + random() * 0x5e);
  const inner = () => (random() < 0.1 ? pick(random, [' ', '\t']) : visible());
  return visible() + Array.from({ length: random() * 40 }, inner).join('') + visible();
}

/** Hop-by-hop lines, among them `Connection` with a line that it names. */
export function hopByHopLines(random: Random): Line[] {
  const named = `X-Named-${Math.floor(random() * 10)}`;
  const choices: (() => Line[])[] = [
    () => [gone(random, 'Connection', 'keep-alive')],
    () => [gone(random, 'Connection', `${spelt(random, named)} , keep-alive`), gone(random, named, 'for this hop')],
    () => [gone(random, 'Connection', `,${named},`), gone(random, named, 'one'), gone(random, named, 'two')],
    () => [gone(random, 'Keep-Alive', 'timeout=5, max=9')],
    () => [gone(random, 'Proxy-Connection', 'keep-alive')],
    () => [gone(random, 'Upgrade', 'h2c')],
    () => [gone(random, 'Upgrade', 'h2c'), gone(random, 'Connection', 'Upgrade')],
  ];
  return random() < 0.5 ? [] : pick(random, choices)();
}

export const gone = (random: Random, name: string, value: string): Line =>
  line(random, spelt(random, name), value, null);

/** The bytes in chunks of any size, some with an extension. */
export function inChunks(random: Random, body: string, trailers: readonly Line[]): string {
  let bytes = '';
  for (let at = 0; at < body.length; ) {
    const piece = body.slice(at, at + 1 + Math.floor(random() * 40));
    bytes += `${piece.length.toString(16)}${pick(random, ['', '', ';x', ';a="b"'])}\r\n${piece}\r\n`;
    at += piece.length;
  }
  return `${bytes}0\r\n${trailers.map(({ sent }) => `${sent}\r\n`).join('')}\r\n`;
}

/** The lines that must arrive, in order. */
export const arriving = (lines: readonly Line[]): string[] =>
  lines.flatMap(({ arrives }) => (arrives === null ? [] : [arrives]));

/** Trailers that no server gives a meaning. */
export const trailerLines = (random: Random): Line[] =>
  some(random, 3, () => line(random, pick(random, ['X-Checksum', 'x-checksum', 'X-Row-Count']), pick(random, VALUES)));
