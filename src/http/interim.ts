// Interim responses (1xx, RFC 9110 15.2) as the upstream sent them.
import type { ServerResponse } from 'node:http';

const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** Interim responses at most: nothing holds back an upstream that sends them for ever. */
export const MOST_INTERIM = 100;

/** `lines`: flat, name and value in turn. Only before the response's own head. */
export function writeInterim(response: ServerResponse, status: number, lines: readonly string[]): void {
  if (typeof response.writeInformation === 'function') {
    response.writeInformation(status, [...lines]);
    return;
  }
  // Node before 24.21 has writeEarlyHints alone, which spells names anew and takes no duplicates.
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index < lines.length; index += 2) text += `${lines[index]}: ${lines[index + 1]}\r\n`;
  (response as unknown as Raw)._writeRaw(`${text}\r\n`, 'latin1');
}

/** What writeInformation and writeEarlyHints call themselves. */
interface Raw {
  _writeRaw(text: string, encoding: 'latin1'): boolean;
}
