// Compares parsers on the bytes of one upstream connection: do ours and node:http's client read the same responses?
// Node's client reads one exchange for each connection, so each starts where ours says that the last one ended.
import { cut, type Parsed, type ParsedMessage, parse } from '../support/http/parsed.ts';
import { endDifference, isKnownRefusal, unknownDifferences } from './known-differences.ts';
import { receive, type Taken, type TakenAnswer } from './reference-client.ts';

const HEAD = ['status', 'reason', 'version', 'lines'] as const;
const WHOLE = [...HEAD, 'body', 'trailers', 'keepAlive'] as const;

export interface Wire {
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
  /** The request methods, one for each exchange; the last one applies to all that follow. */
  readonly answers: readonly string[];
  readonly closes: boolean;
}

export const parsed = ({ bytes, answers, closes }: Wire): Parsed => parse('response', [bytes], { answers, closes });

/** Null if they agree. Ours may refuse more, for known reasons, and never accept more or anything else. */
export async function disagreement(wire: Wire): Promise<string | null> {
  const ours = parsed(wire);
  let left = ours.messages;
  for (let from = 0, exchange = 0; ; exchange++) {
    const pieces = cut(wire.bytes.subarray(from), wire.cuts);
    const theirs = await receive({ method: methodOf(wire, exchange), pieces, closes: wire.closes });
    const interim = left.findIndex((message) => !isInterim(message));
    const count = interim < 0 ? left.length : interim;
    const [final] = left.slice(count);
    const found =
      interimDisagreement(wire.bytes, left.slice(0, count), theirs) ??
      (final === undefined
        ? atTheEnd(ours, theirs, theirs.interim[count] ?? theirs.final, wire.bytes)
        : finalDisagreement(wire.bytes, final, theirs, count));
    if (found !== null) return `exchange ${exchange}: ${found}`;
    if (final === undefined) return null;
    // After a 101 comes another protocol.
    if (final.status === 101 || !final.keepAlive) return null;
    left = left.slice(count + 1);
    from = final.end;
  }
}

const methodOf = ({ answers }: Wire, exchange: number) => answers[Math.min(exchange, answers.length - 1)] ?? 'GET';

const isInterim = ({ status }: ParsedMessage) => status >= 100 && status < 200 && status !== 101;

function interimDisagreement(bytes: Buffer, ours: readonly ParsedMessage[], { interim }: TakenAnswer): string | null {
  for (const [index, message] of ours.entries()) {
    const their = interim[index];
    if (their === undefined) return `node has no interim response ${index}`;
    const unknown = unknownDifferences(bytes, message, their, [...HEAD, 'body']);
    if (unknown.length > 0) return `interim response ${index}: ${unknown.join('; ')}`;
  }
  return null;
}

function finalDisagreement(
  bytes: Buffer,
  ours: ParsedMessage,
  { interim, final, behindUpgrade }: TakenAnswer,
  count: number,
): string | null {
  if (interim.length > count) return 'node has more interim responses';
  if (!final?.complete) return 'node has no whole response';
  const unknown = unknownDifferences(bytes, ours, final, behindUpgrade === null ? WHOLE : HEAD);
  if (unknown.length > 0) return unknown.join('; ');
  return behindUpgrade === null || bytes.toString('latin1', ours.end).startsWith(behindUpgrade)
    ? null
    : 'other bytes behind the upgrade';
}

/** Compares the end, where ours has no further complete response; `next` is what node has there. */
function atTheEnd(ours: Parsed, { interim, refused }: TakenAnswer, next: Taken | null, bytes: Buffer): string | null {
  if (isKnownRefusal(ours, next, bytes)) return null;
  if (ours.state !== 'over') return endDifference(bytes, ours, { next, refused, fields: HEAD });
  const isSame = next === null || endsByItself(bytes, ours, interim);
  return isSame ? null : 'node has a response behind the last one of ours';
}

/** An interim response that says both close and keep-alive. */
function endsByItself(bytes: Buffer, { messages }: Parsed, interim: readonly Taken[]): boolean {
  const [last, their] = [messages.at(-1), interim[0]];
  return (
    last !== undefined && their !== undefined && unknownDifferences(bytes, last, their, ['keepAlive']).length === 0
  );
}

/**
 * Checks that the last final response that ours read by length or chunks is complete for node with its last byte, not
 * without it.
 */
export async function endDisagreement(wire: Wire): Promise<string | null> {
  const { messages } = parsed(wire);
  const last = messages.at(-1);
  if (last === undefined || isInterim(last) || last.status === 101 || last.framing === 'close') return null;
  const exchange = messages.filter(({ status }) => status < 100 || status >= 200).length - 1;
  const bytes = wire.bytes.subarray(messages.at(-2)?.end ?? 0, last.end);
  const take = (length: number) =>
    receive({ method: methodOf(wire, exchange), pieces: [bytes.subarray(0, length)], closes: false });
  const [whole, cutShort] = await Promise.all([take(bytes.length), take(bytes.length - 1)]);
  if (whole.final?.complete !== true || whole.refused !== null) return 'the last response is not whole for node';
  return cutShort.final?.complete === true ? 'the last response is whole for node without its last byte' : null;
}
