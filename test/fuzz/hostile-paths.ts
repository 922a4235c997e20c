// Makes paths that lead to a route, or almost: the route's own segments in order, each disguised, among others that a
// server may drop. Nothing here knows the rules; the property filters out paths that the gate refuses.
import fc from 'fast-check';

function escaped(text: string): string {
  return [...text].map((c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

/** Printable ASCII unchanged, everything else as escaped UTF-8. */
function utf8(text: string): string {
  return [...text].map((c) => (/[!-~]/.test(c) ? c : encodeURIComponent(c))).join('');
}

function fullWidth(c: string): string {
  return /[!-~]/.test(c) ? String.fromCharCode(c.charCodeAt(0) + 0xfee0) : c;
}

/** The character in more bytes than it needs, which a strict UTF-8 decoder refuses. */
function overlong(c: string, size: 2 | 3 | 4): string {
  const code = c.charCodeAt(0);
  const [high, low] = [code >> 6, 0x80 | (code & 63)];
  const bytes = { 2: [0xc0 | high, low], 3: [0xe0, 0x80 | high, low], 4: [0xf0, 0x80, 0x80 | high, low] }[size];
  return escaped(String.fromCharCode(...bytes));
}

const INVISIBLE = ['\u00ad', '\u200b', '\u200d', '\u200f', '\u2060', '\ufeff'].map(utf8);

const LOOK_ALIKES: Readonly<Record<string, string>> = {
  k: '\u212a',
  s: '\u017f',
  i: '\u0131',
  a: '\u00aa',
  '.': '\u2024',
};

/** One character of a name, in a form that some server would still read as it. */
const DISGUISES: readonly ((character: string) => string)[] = [
  (c) => c.toUpperCase(),
  escaped,
  (c) => escaped(c).toLowerCase(),
  (c) => escaped(escaped(c)),
  (c) => escaped(c).replace(/%(.)(.)/, (_all, high: string, low: string) => `%25${escaped(high)}${low}`),
  (c) => utf8(fullWidth(c)),
  (c) => utf8(LOOK_ALIKES[c] ?? c),
  (c) => escaped(utf8(fullWidth(c))),
  (c) => overlong(c, 2),
  (c) => overlong(c, 3).toLowerCase(),
  (c) => overlong(c, 4),
  (c) => escaped(c).replace('%', overlong('%', 2)),
  ...INVISIBLE.flatMap((hidden) => [(c: string) => `${c}${hidden}`, (c: string) => `${hidden}${c}`]),
];

const words = (text: string) => text.split(' ');

const JOINTS = words(
  '/ / / / / / // %2f %5C %255c %252F /./ /%2e/ ;/ ;p=1/ %3b/ /%20/ .%20/ /%20 /%2520 /%2509 %c0%af %e0%81%9c',
).concat(`/${utf8('\u00a0')}`, `/${utf8('\u200b')}/`, overlong(';', 2), utf8('\uff0f'), utf8('\uff3c'));
const UPS = words('.. .. %2e. %2E%2e .%252e ..; ..;x=1 ..%20 ..%2520 ... ..%23 ..%3f ..:x .%20. ..+').concat(
  utf8('\u2025'),
  overlong('.', 2).repeat(2),
  `.${overlong('.', 3)}`,
  ...INVISIBLE.flatMap((hidden) => [`.${hidden}.`, `..${hidden}`]),
  '%20..',
  `..${overlong(' ', 2)}`,
  `..${utf8('\u00a0')}`,
);
const FILLERS = words('index.php a.b . x %20 %3fx ;v=1 %C2%AD %c1%81 (S(x)) (A(b)F((c)) %28s%28;%29%29 (S(x))y (S)');
const ENDS = words(
  '/ .json . :x ;v=1 %20 %3fx %23y/z %3b/q /. /x/.. /.. /more ~ %c3%a9 %cc%81 %e2%80%a6 %ff %2500 %C2%AD %E2%80%8Bx %c1%81 %c0%bbx %c0%a5 /(S(x))/',
);

/** A name that keeps its meaning for a lax server. A name that holds escapes stays unchanged. */
function disguised(name: string): fc.Arbitrary<string> {
  if (name.includes('%')) return fc.constant(name);
  const letters = [...name].map((c) =>
    fc.oneof(fc.constant(c), fc.constantFrom(...DISGUISES.map((change) => change(c)))),
  );
  return fc.oneof(
    fc.constant(name),
    fc.tuple(...letters).map((parts) => parts.join('')),
  );
}

/** A path made of `segments` in order, in which a lax server finds exactly these, or nearly. */
export function pathNear(segments: readonly string[], names: readonly string[]): fc.Arbitrary<string> {
  const name = fc.constantFrom(...names);
  const joint = fc.constantFrom(...JOINTS);
  const climb = fc.tuple(name, joint, fc.constantFrom(...UPS)).map((parts) => parts.join(''));
  const extra = fc.oneof(climb, fc.constantFrom(...FILLERS, ...UPS), name.chain(disguised));
  const extras = (maxLength: number) =>
    fc.array(
      fc.tuple(extra, joint).map((parts) => parts.join('')),
      { maxLength },
    );
  const own = segments.map((segment) => fc.tuple(extras(1), disguised(segment), joint));
  return fc
    .tuple(extras(2), fc.tuple(...own), extras(1), fc.oneof(fc.constant(''), fc.constantFrom(...ENDS)))
    .map(
      ([before, middle, after, end]) =>
        `/${[...before, ...middle.flat(2), ...after].join('')}`.replace(/\/$/, '') + end,
    );
}
