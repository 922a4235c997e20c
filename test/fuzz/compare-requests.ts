// Compares parsers on one connection's bytes: do ours and node:http's server read the same requests?
import { cut, type Parsed, parse } from '../support/http/parsed.ts';
import {
  endDifference,
  endsEarlier,
  handsOver,
  isKnownRefusal,
  partialDifference,
  unknownDifferences,
} from './known-differences.ts';
import type { ReferenceServer, TakenRequest } from './reference-server.ts';

const HEAD = ['method', 'target', 'version', 'lines'] as const;
const WHOLE = [...HEAD, 'body', 'trailers', 'keepAlive'] as const;

/** Null if they agree. Ours may refuse more, for known reasons, and never accept more or anything else. */
export async function disagreement(
  reference: ReferenceServer,
  bytes: Buffer,
  cuts: readonly number[],
): Promise<string | null> {
  const ours = parse('request', [bytes]);
  // Node destroys a connection at PRI, before it reports the requests in front of it as whole.
  const pri = ours.messages.findIndex(({ method }) => method === 'PRI');
  if (pri > 0) {
    const from = ours.messages[pri - 1]?.end;
    const inFront = await disagreement(reference, bytes.subarray(0, from), cuts);
    return inFront ?? disagreement(reference, bytes.subarray(from), cuts);
  }
  const theirs = await reference.take(cut(bytes, cuts));
  for (const [index, message] of ours.messages.entries()) {
    const their = theirs.requests[index];
    const other = handsOver(message);
    if (their === undefined || (!their.complete && other !== 'tunnel')) return `node has no whole request ${index}`;
    const unknown = unknownDifferences(bytes, message, their, other === 'tunnel' ? HEAD : WHOLE);
    if (unknown.length > 0) return `request ${index}: ${unknown.join('; ')}`;
    if (other === 'upgrade' && message.keepAlive) return disagreement(reference, bytes.subarray(message.end), cuts);
    if (other !== null || endsEarlier(message, their)) return null;
  }
  const found = atTheEnd(bytes, ours, theirs.refused, theirs.requests.slice(ours.messages.length));
  return found !== null && isKnownRefusal(ours, theirs.requests[ours.messages.length], bytes) ? null : found;
}

function atTheEnd(bytes: Buffer, ours: Parsed, refused: string | null, more: readonly TakenRequest[]): string | null {
  const [next = null] = more;
  if (ours.state === 'over') return next === null ? null : 'node has a request behind the last one of ours';
  if (ours.state === 'body') {
    if (next !== null && handsOver(next) === 'tunnel') return partialDifference(bytes, ours, next, HEAD);
    if (more.length > 1) return 'ours waits for a body, node has more than one request';
  }
  return endDifference(bytes, ours, { next, refused, fields: HEAD });
}

/**
 * Checks that the last request that ours read as complete is complete for node with its last byte, and not without it.
 */
export async function endDisagreement(reference: ReferenceServer, bytes: Buffer): Promise<string | null> {
  const { messages } = parse('request', [bytes]);
  const last = messages.at(-1);
  if (last === undefined || handsOver(last) === 'tunnel') return null;
  const message = bytes.subarray(messages.at(-2)?.end ?? 0, last.end);
  const [whole, cutShort] = await Promise.all([
    reference.take([message]),
    reference.take([message.subarray(0, message.length - 1)]),
  ]);
  if (whole.requests.length !== 1 || whole.requests[0]?.complete !== true)
    return 'the last request is not whole for node';
  return cutShort.requests[0]?.complete === true ? 'the last request is whole for node without its last byte' : null;
}
