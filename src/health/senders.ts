// Which refused requests are deliveries. An address proves little: behind a front all share one, and senders move. So
// the look of a request counts, its User-Agent and Content-Type: it must be that of an accepted delivery, or of a request
// whose signature proves a secret of ours.
import { Buffer } from 'node:buffer';
import type { RequestDiagnosis } from '../core/hint.ts';
import type { RequestRecord } from '../core/request-record.ts';
import { QUARTER } from './times.ts';

const KEPT = 16;
/** Characters of a header's value that are compared. */
const COMPARED = 256;
/** Acceptances after which their pauses say how long senders are silent. */
const ENOUGH = 8;

export type Looks = Pick<RequestRecord, 'userAgent' | 'contentType' | 'signed' | 'renamedHeader' | 'method' | 'client'>;

export class Senders {
  readonly #looks = new Remembered();
  readonly #clients = new Remembered();
  /** Behind a trusted proxy, the address of a connection is not that of its client. */
  readonly #connections = new Remembered();
  accepted = 0;
  lastAccepted = Number.NaN;
  #longestPause = 0;

  /** Called for each verified delivery, duplicates too, whatever the app then does. */
  accept(record: RequestRecord, now: number): void {
    const { userAgent, contentType, client, connectionAddress, route } = record;
    if (this.accepted > 0) this.#longestPause = Math.max(this.#longestPause, now - this.lastAccepted);
    this.accepted++;
    this.lastAccepted = now;
    this.#looks.add(userAgent, contentType, route);
    this.#clients.add(client, '', route);
    this.#connections.add(connectionAddress, '', route);
  }

  /** Called for a refused request that only a holder of a secret of ours can have sent: its look is a sender's, too. */
  prove({ userAgent, contentType, client, route }: RequestRecord): void {
    this.#looks.add(userAgent, contentType, route);
    this.#clients.add(client, '', route);
  }

  /**
   * The route on which a refused request would have been a delivery, as far as its look tells; null if it is none. With
   * a signature, also under another name, the look is enough; else a POST needs a known address, too.
   */
  routeOf(record: Looks): string | null {
    const route = this.#looks.routeOf(record.userAgent, record.contentType);
    if (route === null || isSigned(record)) return route;
    return record.method === 'POST' && this.knows(record.client) ? route : null;
  }

  /** True if a delivery from this client was accepted. */
  knows(client: string): boolean {
    return this.#clients.routeOf(client, '') !== null;
  }

  /** The route that last accepted a delivery over a connection from this address; null if none did. */
  routeOfConnection(address: string): string | null {
    return this.#connections.routeOf(address, '');
  }

  /** True once nothing was accepted for much longer than ever before: then another look may be the sender's new one. */
  isSilent(now: number): boolean {
    const silence = now - this.lastAccepted;
    return this.accepted >= ENOUGH && silence > QUARTER && silence > 3 * this.#longestPause;
  }
}

/**
 * Causes that only a signature made with a secret of ours shows. The others can be guessed, such as a signature with an
 * empty secret, or their secret may have leaked.
 */
const PROOFS: ReadonlySet<string> = new Set<RequestDiagnosis>([
  'body-changed',
  'other-route-secret',
  'secret-form',
  'trailing-newline',
]);

/** True for a wrong signature that a front, or a usual mistake, made of a right one: whatever its look, it was a delivery. */
export const isProven = ({ reason, hint }: Pick<RequestRecord, 'reason' | 'hint'>) =>
  reason === 'signature_mismatch' && hint !== null && PROOFS.has(hint.diagnosis);

export const isSigned = ({ signed, renamedHeader }: Pick<RequestRecord, 'signed' | 'renamedHeader'>) =>
  signed || renamedHeader !== null;

/** The last KEPT different pairs of texts, each with the route on which it came last. Adding a known one allocates nothing. */
class Remembered {
  /** The latest first. */
  readonly #pairs: { one: string; other: string; route: string }[] = [];

  add(one: string, other: string, route: string): void {
    let at = this.#find(one, other);
    if (at < 0) {
      if (this.#pairs.length === KEPT) this.#pairs.pop();
      at = this.#pairs.push({ one: copied(one), other: copied(other), route }) - 1;
    }
    const pair = this.#pairs[at];
    if (pair === undefined) return;
    pair.route = route;
    for (; at > 0; at--) this.#pairs[at] = this.#pairs[at - 1] ?? pair;
    this.#pairs[0] = pair;
  }

  routeOf(one: string, other: string): string | null {
    return this.#pairs[this.#find(one, other)]?.route ?? null;
  }

  #find(one: string, other: string): number {
    for (let at = 0; at < this.#pairs.length; at++) {
      const pair = this.#pairs[at];
      if (pair !== undefined && isEqual(pair.one, one) && isEqual(pair.other, other)) return at;
    }
    return -1;
  }
}

const isEqual = (kept: string, text: string) =>
  text.length > COMPARED ? text.slice(0, COMPARED) === kept : text === kept;

/** A copy of the text: a part of a head would keep the whole head in memory. */
export const copied = (text: string): string => Buffer.from(text.slice(0, COMPARED), 'latin1').toString('latin1');
