// The lines of a head that are forwarded, as the proxy writes them, read back into a flat list.
import { headLines } from '../../src/wire/heads.ts';

/** The end-to-end lines. A `Content-Length` line stays where it is, as on a request whose body has that length. */
export function endToEnd(lines: readonly string[]): string[] {
  const length = lines.findIndex((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-length');
  const framing = length < 0 ? null : `${lines[length]}: ${lines[length + 1]}`;
  const written = headLines(lines, framing, { te: false, trailer: false }).split('\r\n').slice(0, -1);
  return written.flatMap((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]);
}
