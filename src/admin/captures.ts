// `POST /-/capture`: hands the next refused requests, whole and as they came, to the client that asks, while it asks.
// It shows bodies and header values, so by default only loopback may ask (server.ts). Accepted requests are never
// handed out, and nothing is kept where nobody asks. No answer waits for the reader: a request that finds too much
// waiting for it is missed, and counted.
import { Buffer } from 'node:buffer';
import { REASON_NAMES } from '../core/reasons.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import type { Exchange } from '../downstream/client-exchange.ts';
import type { Listener } from '../downstream/listener.ts';
import { MOST_CAPTURED } from '../downstream/request-copies.ts';
import type { Log } from '../log/log.ts';
import { type AdminReply, json } from './handlers.ts';

/** Bytes of several requests that may wait for the reader; one alone may have any size. */
const MOST_WAITING = 1024 * 1024;

interface Parts {
  readonly log: Log;
  /** The most bytes of one request: its head, and its body with what frames it. */
  readonly mostBytes: () => number;
  /** Copies requests as long as it has `copies`. */
  readonly listener: Pick<Listener, 'copies'>;
}

type Query = NonNullable<ReturnType<typeof readQuery>>;

interface Capture extends Query {
  readonly exchange: Exchange;
  readonly timer: NodeJS.Timeout;
  captured: number;
  missed: number;
}

export class Captures {
  readonly #parts: Parts;
  #current: Capture | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Begins a capture, and answers with the requests as they come; if it cannot, returns the answer that says why. */
  begin(exchange: Exchange): AdminReply | null {
    const query = readQuery(new URLSearchParams(exchange.head.target.slice(exchange.path.length)));
    if (query === null) return json(400, { error: 'bad_request', message: QUERY });
    if (this.#current !== null) return json(409, { error: 'busy', message: 'another capture is running' });
    const timer = setTimeout(() => this.#end(), query.ms).unref();
    this.#current = { ...query, exchange, timer, captured: 0, missed: 0 };
    this.#parts.listener.copies = { mostBytes: this.#parts.mostBytes(), used: 0 };
    const lines = ['Content-Type', 'application/octet-stream', 'Cache-Control', 'no-store'];
    exchange.reply.begin({ status: 200, reason: 'OK', lines, framing: 'chunked', length: '' }, 'close');
    exchange.reply.flush();
    exchange.onDeparture({ clientDeparted: () => this.#end() });
    this.#parts.log.info('a capture of refused requests begins', { client: exchange.client, ...query });
    return null;
  }

  offer(ended: Exchange): void {
    const capture = this.#current;
    const { copy } = ended;
    if (capture === null || copy === null || !isAsked(capture, ended)) return;
    const { reply } = capture.exchange;
    const { bytes, isWhole } = copy;
    if (!isWhole || (reply.unsent > 0 && reply.unsent + bytes.length > MOST_WAITING)) {
      capture.missed++;
      return;
    }
    const { decision, reason, route, client, hint } = ended;
    const about = { decision, reason, route, client, diagnosis: diagnosisOf(ended), hint: hint?.text ?? null };
    const line = JSON.stringify({ ...about, missed: capture.missed, bytes: bytes.length });
    reply.data(Buffer.concat([Buffer.from(`${line}\n`), bytes]));
    reply.flush();
    if (++capture.captured === capture.count) this.#end();
  }

  #end(): void {
    const capture = this.#current;
    if (capture === null) return;
    this.#current = null;
    this.#parts.listener.copies = null;
    clearTimeout(capture.timer);
    const { exchange, captured, missed } = capture;
    exchange.onDeparture(null);
    exchange.reply.data(Buffer.from(`${JSON.stringify({ missed })}\n`));
    exchange.reply.end();
    this.#parts.log.info('a capture of refused requests ends', { client: exchange.client, captured, missed });
  }
}

/** Reported requests count only for a reason that is asked for; a client that left was not refused. */
function isAsked({ reason }: Query, { decision, reason: given }: Exchange): boolean {
  if (given === 'none' || given === 'client_closed') return false;
  if (reason !== null) return given === reason && (decision === 'rejected' || decision === 'reported');
  return decision === 'rejected';
}

const REASONS = REASON_NAMES.filter((name) => name !== 'client_closed');
const QUERY = `count is a number from 1 to ${MOST_CAPTURED.requests}, ms one from 1 to ${MOST_CAPTURED.ms}, reason one of ${REASONS.join(', ')}`;

/** `ms`: milliseconds after which the capture ends by itself. Null for a query that cannot be used. */
function readQuery(query: URLSearchParams) {
  const number = (name: string, fallback: number, most: number) => {
    const text = query.get(name) ?? String(fallback);
    return /^[1-9][0-9]{0,8}$/.test(text) && Number(text) <= most ? Number(text) : null;
  };
  const count = number('count', 10, MOST_CAPTURED.requests);
  const ms = number('ms', 600_000, MOST_CAPTURED.ms);
  const name = query.get('reason');
  const reason = REASONS.find((reason) => reason === name) ?? null;
  return count === null || ms === null || reason !== name ? null : { count, ms, reason };
}
