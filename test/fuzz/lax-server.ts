// A model of upstreams that are too lax with a path. Each operation is one that some server, framework or script does
// between the wire and its handlers; `readings` applies them in every order, repeatedly. It is written independently of
// src/core and must never import from there: an error in both would stay hidden.
import { Buffer } from 'node:buffer';

/** A path as bytes in a latin1 string, like everything on the wire. */
export type Path = string;

export interface Operation {
  readonly name: string;
  readonly apply: (path: Path) => Path;
}

const asText = (change: (text: string) => string) => (path: Path) =>
  Buffer.from(change(Buffer.from(path, 'latin1').toString('utf8')), 'utf8').toString('latin1');

const eachSegment = (change: (segment: string) => string) => (path: Path) => path.split('/').map(change).join('/');

export function decodeOnce(path: Path): Path {
  return path.replace(/%([0-9a-fA-F]{2})/g, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** As UTF-8 decoders did that only count the leading ones: `%c0%ae` is a dot. */
function readOverlong(path: Path): Path {
  return path.replace(/[\xc0\xc1].|\xe0[\x80\x81].|\xf0\x80[\x80\x81]./gs, (form) => {
    const [first = 0, ...others] = Buffer.from(form, 'latin1');
    if (others.some((byte) => byte >> 6 !== 2)) return form;
    const point = others.reduce((bits, byte) => bits * 64 + (byte & 63), first & (form.length === 2 ? 31 : 7));
    return String.fromCharCode(point);
  });
}

/** File systems, user directories and search drop what nobody sees. */
const dropInvisible = (text: string) => text.replace(/\u00ad|[\u200b-\u200f]|\u2060|\ufeff/g, '');

function decodeUntilStable(path: Path): Path {
  const next = decodeOnce(path);
  return next === path ? path : decodeUntilStable(next);
}

/** RFC 3986 5.2.4, on the segments: `..` can remove an empty segment too. */
function removeDotSegments(path: Path): Path {
  const [, ...segments] = path.split('/');
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  if (last === '.' || last === '..') kept.push('');
  return `/${kept.join('/')}`;
}

/** `/(S(x))/notify`, `/(A(x)F(y))/notify`: ASP.NET with sessions or logins in the path, on which a slash must follow. */
function dropSessions(path: Path): Path {
  return path.replace(/\/\((?:[A-Za-z]\([^/)]*\))+\)(?=\/)/g, '');
}

/** `/index.php/notify`: the script gets what follows it as PATH_INFO. */
function dropScript(path: Path): Path {
  return /^\/(?:[^/]*\/)*?[^/]*[A-Za-z0-9_-]\.[A-Za-z0-9_-][^/]*(\/.*)$/s.exec(path)?.[1] ?? path;
}

/** `notify.json`, `notify:x`, `notify,v`: the suffix of a name, once its escapes are decoded. */
function dropSuffix(segment: string): string {
  return segment.replace(/^([^%]*?[A-Za-z0-9_-])[\x00-$&-,.:-@[-^`{-\x7f].*$/s, '$1');
}

function lastSegment(change: (segment: string) => string) {
  return (path: Path) => {
    const at = path.lastIndexOf('/') + 1;
    return path.slice(0, at) + change(path.slice(at));
  };
}

/**
 * Operations that move or change segments within the path, but cannot by themselves take a request out of its folder.
 */
export const OPERATIONS: readonly Operation[] = [
  { name: 'decode once', apply: decodeOnce },
  { name: 'decode until nothing changes', apply: decodeUntilStable },
  { name: 'read overlong forms', apply: readOverlong },
  { name: 'drop invisible characters', apply: asText(dropInvisible) },
  { name: 'NFKC', apply: asText((text) => text.normalize('NFKC')) },
  { name: 'lower case', apply: asText((text) => text.toLowerCase()) },
  { name: 'upper, then lower case', apply: asText((text) => text.toUpperCase().toLowerCase()) },
  { name: 'ASCII lower case', apply: (path) => path.replace(/[A-Z]/g, (upper) => upper.toLowerCase()) },
  { name: 'merge slashes', apply: (path) => path.replace(/\/{2,}/g, '/') },
  { name: 'backslash is a slash', apply: (path) => path.replaceAll('\\', '/') },
  { name: 'cut segments at ;', apply: eachSegment((segment) => segment.replace(/;.*$/s, '')) },
  { name: 'cut segments at ; ? #', apply: eachSegment((segment) => segment.replace(/[;?#].*$/s, '')) },
  { name: 'cut the path at ? #', apply: (path) => path.replace(/[?#].*$/s, '') || '/' },
  { name: 'cut the path at ;', apply: (path) => path.replace(/;.*$/s, '') || '/' },
  { name: 'remove dot segments', apply: removeDotSegments },
  { name: 'drop sessions in brackets', apply: dropSessions },
  {
    name: 'drop trailing dots, spaces, controls',
    apply: eachSegment((segment) => segment.replace(/[\x00-\x20.\x7f]+$/, '')),
  },
  { name: 'drop trailing spaces, controls', apply: eachSegment((segment) => segment.replace(/[\x00-\x20\x7f]+$/, '')) },
  { name: 'drop leading spaces, controls', apply: eachSegment((segment) => segment.replace(/^[\x00-\x20\x7f]+/, '')) },
  { name: 'drop one trailing dot', apply: eachSegment((segment) => segment.replace(/\.$/, '')) },
  { name: 'strip the trailing slash', apply: (path) => (path.length > 1 ? path.replace(/\/$/, '') : path) },
  { name: 'drop the suffix', apply: lastSegment(dropSuffix) },
  { name: 'drop every suffix', apply: eachSegment(dropSuffix) },
];

/** Leaves the folder: a script that takes what follows it as its own path. */
export const SCRIPT: Operation = { name: 'drop the script', apply: dropScript };

/** Every path that the operations make of `path`, in any order and number (until `limit` are known), and how. */
export function readings(path: Path, operations: readonly Operation[], limit: number): Map<Path, string> {
  const known = new Map([[path, 'as sent']]);
  for (const [reading, how] of known) {
    for (const { name, apply } of operations) {
      if (known.size >= limit) return known;
      const next = apply(reading);
      if (next.startsWith('/') && !known.has(next)) known.set(next, `${how}, ${name}`);
    }
  }
  return known;
}

/** The segments left after every operation except the suffix cuts has been applied once, in a usual order. */
export function canonical(path: Path): string[] {
  const text = asText((read) => dropInvisible(read).normalize('NFKC').toLowerCase().toUpperCase().toLowerCase());
  const flat = dropSessions(text(readOverlong(decodeUntilStable(path))).replaceAll('\\', '/'));
  const cut = eachSegment((segment) => segment.replace(/[;?#].*$/s, '').replace(/^[\x00-\x20\x7f]+/, ''));
  const segments = removeDotSegments(cut(flat)).split('/');
  return segments.map((segment) => segment.replace(/[\x00-\x20.\x7f]+$/, '')).filter((segment) => segment !== '');
}
