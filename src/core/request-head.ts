// A request's head, read in one pass: the facts that the gate, the verdict and the body reader need.
import { valuesOf } from './header-lines.ts';
import { isRerouting, lowerCaseName } from './header-names.ts';
import { LOWER_CASE_SIGNATURE_HEADER, looksLikeSignature } from './signature.ts';

/** The facts of a request's head. Values are as sent: nothing may rely on them before the gate has passed the head. */
export class Head {
  readonly method: string;
  readonly target: string;
  /** The target without query and fragment. */
  readonly path: string;
  /** `1.1`, `1.0`, or whatever else the parser accepts. */
  readonly version: string;
  hosts = 0;
  host = '';
  contentLengths = 0;
  contentLength = '';
  transferEncodings = 0;
  transferEncoding = '';
  /** Every `Connection` value, joined by commas. */
  connection = '';
  signatures = 0;
  /** The value of the last signature line. */
  signature = '';
  lookAlikes = 0;
  expect: string | null = null;
  upgrade: string | null = null;
  /** True if the client sent `TE: trailers`. */
  asksForTrailers = false;
  /** Lower-case names of lines that servers may read as another header or another target. */
  readonly rerouting: string[] = [];

  /** `lines`: the parser's flat list (name, value, …). Values are latin1 text without white space around them. */
  constructor({ method, target, version }: Pick<Head, 'method' | 'target' | 'version'>, lines: readonly string[]) {
    this.method = method;
    this.target = target;
    this.path = pathOf(target);
    this.version = version;
    for (let index = 0; index < lines.length; index += 2) {
      readLine(this, lowerCaseName(lines[index] ?? ''), lines[index + 1] ?? '');
    }
  }
}

/** The fields with the number of lines of a name, and with the value of the last of them. */
const COUNTED = new Map([
  ['host', ['hosts', 'host']],
  ['content-length', ['contentLengths', 'contentLength']],
  ['transfer-encoding', ['transferEncodings', 'transferEncoding']],
  [LOWER_CASE_SIGNATURE_HEADER, ['signatures', 'signature']],
] as const);

function readLine(head: Head, name: string, value: string): void {
  const counted = COUNTED.get(name);
  if (counted !== undefined) {
    head[counted[0]]++;
    head[counted[1]] = value;
  } else if (name === 'connection') {
    head.connection = head.connection === '' ? value : `${head.connection},${value}`;
  } else if (name === 'expect' || name === 'upgrade') {
    head[name] = head[name] === null ? value : `${head[name]}, ${value}`;
  } else if (name === 'te') {
    if (value.toLowerCase() === 'trailers') head.asksForTrailers = true;
  } else {
    if (looksLikeSignature(name)) head.lookAlikes++;
    if (isRerouting(name)) head.rerouting.push(name);
  }
}

/** A target's path: all before the `?`, and before a `#`, which the gate refuses: the log must hold no fragment either. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const fragment = path.indexOf('#');
  return fragment < 0 ? path : path.slice(0, fragment);
}

export function hasBody(head: Head): boolean {
  return head.transferEncodings > 0 || (head.contentLengths > 0 && head.contentLength !== '0');
}

/** The declared length in bytes; null for a chunked body. Valid only for a head that has passed the gate. */
export function declaredLength(head: Head): number | null {
  if (head.transferEncodings > 0) return null;
  return head.contentLengths > 0 ? Number(head.contentLength) : 0;
}

/** A valid `traceparent`, with its trace id (https://www.w3.org/TR/trace-context/#traceparent-header). */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** The trace id in a request's header lines; null if they have no valid `traceparent`. */
export function traceIdOf(lines: readonly string[]): string | null {
  return TRACEPARENT.exec(valuesOf(lines, 'traceparent').at(-1) ?? '')?.[1] ?? null;
}
