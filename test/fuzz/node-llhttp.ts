// How Node's own llhttp reads bytes. It gets them one by one, so that the end of each message is known.
import { createRequire } from 'node:module';
import type { ParsedMessage } from '../support/http/parsed.ts';

/** A message as llhttp reads it, from its complete head on. Its `keepAlive` is by the head, without the trailers. */
export type NodeMessage = { -readonly [Field in keyof Omit<ParsedMessage, 'framing'>]: ParsedMessage[Field] };

export interface NodeReading {
  readonly messages: readonly NodeMessage[];
  readonly partial: NodeMessage | null;
  /** llhttp's code for bytes that are not HTTP; null if there are none. */
  readonly refused: string | null;
}

type Head = [
  ...[major: number, minor: number, lines: string[] | undefined, method: number, target: string | undefined],
  ...[status: number, reason: string, upgrade: boolean, keepAlive: boolean],
];
interface Native {
  initialize(type: number, resource: object, maxHeaderSize: number, leniency: number): void;
  execute(bytes: Buffer): number | (Error & { code: string });
  finish(): unknown;
  [callback: number]: (...args: never[]) => unknown;
}
interface HttpCommon {
  readonly methods: readonly string[];
  readonly HTTPParser: (new () => Native) &
    Record<'REQUEST' | 'RESPONSE' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete', number>;
}
// Not documented; node:http's server and client are made of it.
const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as HttpCommon;

/** Wider than the limits of the parser under test, so a limit is never mistaken for a grammar error. */
const MAX_HEADER = 2 * 1024 * 1024;
const SKIP_BODY = 1;
/** llhttp's number of the first method that node keeps from servers; these are PRI and those of RTSP. */
const FIRST_FOREIGN = 34;

const isFinal = ({ status }: NodeMessage) => status < 100 || status >= 200;

/** `answers`: the method of each exchange's request; the last one is that of all that follow. */
export function readByNode(
  type: 'request' | 'response',
  bytes: Buffer,
  { answers = ['GET'], closes = false }: { readonly answers?: readonly string[]; readonly closes?: boolean } = {},
): NodeReading {
  const messages: NodeMessage[] = [];
  let partial: NodeMessage | null = null;
  let early: string[] = [];
  let target = '';
  let at = 0;
  const parser = new HTTPParser();
  const begin = () =>
    parser.initialize(type === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, MAX_HEADER, 0);
  parser[HTTPParser.kOnHeaders] = (lines: string[], part: string) => {
    if (partial === null) {
      early = [...early, ...lines];
      target += part;
    } else partial.trailers = [...partial.trailers, ...lines];
  };
  parser[HTTPParser.kOnHeadersComplete] = (...head: Head) => {
    const [major, minor, lines = early, method, part = target, status, reason, , keepAlive] = head;
    partial = {
      method: type === 'response' ? '' : method < FIRST_FOREIGN ? (methods[method] ?? '') : 'foreign',
      ...{ target: type === 'response' ? '' : part, status: status ?? 0, reason: reason ?? '' },
      ...{ version: `${major}.${minor}`, lines, body: '', trailers: [], keepAlive, end: 0 },
    };
    const finals = messages.filter(isFinal).length;
    const hasNone = !isFinal(partial) || answers[Math.min(finals, answers.length - 1)] === 'HEAD';
    return hasNone ? SKIP_BODY : 0;
  };
  parser[HTTPParser.kOnBody] = (piece: Buffer) => {
    if (partial !== null) partial.body += piece.toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (partial === null) return;
    partial.end = at;
    messages.push(partial);
    [partial, early, target] = [null, [], ''];
  };
  begin();
  for (let from = 0; from < bytes.length; from++) {
    at = from + 1;
    const before = messages.length;
    const read = parser.execute(bytes.subarray(from, at));
    if (typeof read !== 'number') return { messages, partial, refused: read.code };
    // Whether anything may follow, `keepAlive` says. No upgrade is accepted here.
    if (messages.length > before) begin();
  }
  if (closes) parser.finish();
  return { messages, partial, refused: null };
}
