// Which refused requests are deliveries: those with the look (User-Agent and Content-Type) and the address of accepted
// ones, or whose signature proves a secret of ours. Where deliveries have stopped, more is suspect.
import type { RequestRecord } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { COMPARED, copied, Tally } from './counts.ts';
import type { Diagnosis } from './diagnoses.ts';
import { DAY, QUARTER } from './times.ts';

const KEPT = 16;
/** Acceptances, over a day at least, after which their pauses say how long a sender is silent. */
const ENOUGH = 8;
const MANY_SUSPECTS = 3;

type Address = 'client' | 'connectionAddress';
type Look = 'userAgent' | 'contentType' | 'signed' | 'renamedHeader' | 'method' | 'reason' | 'hint';
export type Looks = Pick<RequestRecord, Look | Address>;

export class Senders {
  readonly #looks = new Remembered(kindOf);
  readonly #clients = new Remembered();
  /** Where deliveries come: their route, or of what no route matches the path. */
  readonly #places = new Remembered();
  /** Behind a trusted proxy, the address of a connection is not that of its client. */
  readonly #connections = new Remembered();
  /** Where handshakes failed as those of health checks do. */
  readonly #checks = new Remembered();
  accepted = 0;

  /** Called for each verified delivery, duplicates too, whatever the app then does. */
  accept(record: RequestRecord, route: string, now: number): void {
    const { userAgent, contentType, client, connectionAddress } = record;
    this.accepted++;
    this.#looks.add(userAgent, contentType, route);
    this.#clients.add(client, '', route).accept(now);
    this.#places.add(placeOf(record), '', route).accept(now);
    const connection = this.#connections.add(connectionAddress, '', route);
    connection.accept(now);
    const checked = this.#checks.find(connectionAddress)?.lastAccepted ?? Number.NaN;
    connection.hasChecks = now - checked < QUARTER;
  }

  /**
   * Called for a handshake that failed as those of health checks do. True if some failed so from there before the last
   * delivery, too: then a balancer checks us from the address of the deliveries.
   */
  isCheck(address: string, now: number): boolean {
    const connection = this.#connections.find(address);
    // Scanners elsewhere must not make us forget it.
    if (connection !== undefined || this.accepted === 0) this.#checks.add(address, '', '').lastAccepted = now;
    return connection?.hasChecks === true;
  }

  /** Called for a refused request that only a holder of a secret of ours can have sent: its look is a sender's, too. */
  prove({ userAgent, contentType, client, connectionAddress }: RequestRecord, route: string): void {
    this.#looks.add(userAgent, contentType, route);
    this.#clients.add(client, '', route);
    this.#connections.add(connectionAddress, '', route);
  }

  /** Called for a refused request that looks like no delivery: it may be one, if those from there or to there have stopped. */
  suspect(record: RequestRecord, diagnosis: Diagnosis, now: number): void {
    const { client, connectionAddress } = record;
    const from = isUnread(record) ? this.#connections.find(connectionAddress) : this.#clients.find(client);
    from?.suspect(diagnosis, record, now);
    if (record.method === 'POST') this.#places.find(placeOf(record))?.suspect(diagnosis, record, now);
  }

  /**
   * The suspects of each route on which, or from an address from which, deliveries have stopped. Strangers send POSTs to a
   * known place all the time, so there many more must come than did beside the deliveries.
   */
  stopped(now: number): readonly Known[] {
    const places = this.#places.all.filter((known) => known.hasMore);
    const all = [...places, ...this.#clients.all, ...this.#connections.all].filter((known) => known.hasStopped(now));
    return [...Map.groupBy(all, ({ route }) => route).values()].flatMap(([first]) => first ?? []);
  }

  /**
   * The route on which a refused request would have been a delivery; null if it is none. Without a signature, also under
   * another name, it must be a POST. A head that was not read is a delivery's if it was too large or a front wrote it, else
   * a scanner's.
   */
  routeOf(record: Looks): string | null {
    const { userAgent, contentType, client, connectionAddress, method, reason, hint } = record;
    const isFronts = reason === 'header_too_large' || hint?.fromFront === true;
    if (isUnread(record)) return isFronts ? this.routeOfConnection(connectionAddress) : null;
    const isLike = (method === 'POST' || isSigned(record)) && this.#clients.find(client) !== undefined;
    return isLike ? (this.#looks.find(userAgent, contentType)?.route ?? null) : null;
  }

  /** The route that accepted deliveries which were sent to this path; null if none did. */
  routeOfPlace(path: string): string | null {
    return this.#places.find(path)?.route ?? null;
  }

  /** The route that last accepted a delivery over a connection from this address; null if none did. */
  routeOfConnection(address: string): string | null {
    return this.#connections.find(address)?.route ?? null;
  }

  /** What came on a route that a reload has removed would now come where none matches. */
  keepOnly(routes: readonly string[]): void {
    for (const { all } of [this.#looks, this.#clients, this.#places, this.#connections])
      for (const known of all) if (!routes.includes(known.route)) known.route = UNMATCHED;
  }

  /** True if all deliveries came on routes other than these. */
  areOnlyOutside(routes: readonly string[]): boolean {
    return this.accepted > 0 && this.#looks.all.every(({ route }) => !routes.includes(route));
  }
}

const placeOf = ({ route, path }: RequestRecord) => (route === UNMATCHED ? path : route);

/**
 * Causes that only a signature made with a secret of ours shows. The others can be guessed, such as a signature with an
 * empty secret, or their secret may have leaked.
 */
const PROOFS: readonly Diagnosis[] = [
  'body-changed',
  'body-compressed',
  'other-route-secret',
  'secret-form',
  'trailing-newline',
];

/** True for a wrong signature that a front, or a usual mistake, made of a right one: whatever its look, it was a delivery. */
export const isProven = ({ reason, hint }: Pick<RequestRecord, 'reason' | 'hint'>) =>
  reason === 'signature_mismatch' && hint !== null && hint.isGuess !== true && PROOFS.includes(hint.diagnosis);

export const isUnread = ({ method }: Pick<RequestRecord, 'method'>) => method === '';

export const isSigned = ({ signed, renamedHeader }: Pick<RequestRecord, 'signed' | 'renamedHeader'>) =>
  signed || renamedHeader !== null;

/** A look, an address or a place of deliveries. */
export class Known {
  readonly one: string;
  readonly other: string;
  /** What it has in common with others like it; empty where only equal texts are. */
  readonly kind: string;
  route = '';
  #accepted = 0;
  #firstAccepted = Number.NaN;
  lastAccepted = Number.NaN;
  hasChecks = false;
  #longestPause = 0;
  suspects: Tally | null = null;
  /** How many suspects came before the last acceptance. */
  #before = 0;

  constructor(one: string, other: string, kindOf: KindOf | null) {
    this.one = copied(one);
    this.other = copied(other);
    this.kind = kindOf === null ? '' : kindOf(this.one, this.other);
  }

  accept(now: number): void {
    this.#longestPause = Math.max(this.#longestPause, now - this.lastAccepted || 0);
    if (this.#accepted++ === 0) this.#firstAccepted = now;
    this.lastAccepted = now;
    this.#before = this.suspects?.total ?? 0;
  }

  suspect(diagnosis: Diagnosis, record: RequestRecord, now: number): void {
    this.suspects ??= new Tally();
    this.suspects.add(diagnosis, record, now);
  }

  get suspected(): number {
    return (this.suspects?.total ?? 0) - this.#before;
  }

  /** True if suspects come at least three times as often as before the last acceptance. */
  get hasMore(): boolean {
    const [before, after] = [this.lastAccepted - this.#firstAccepted, (this.suspects?.lastAt ?? 0) - this.lastAccepted];
    return this.suspected * before > 3 * this.#before * after;
  }

  /** True once nothing was accepted for much longer than ever before, and suspects came: then they may be deliveries. */
  hasStopped(now: number): boolean {
    const silence = now - this.lastAccepted;
    const isKnown = this.#accepted >= ENOUGH && this.lastAccepted - this.#firstAccepted >= DAY;
    const isSilent = isKnown && silence > QUARTER && silence > 3 * this.#longestPause;
    return isSilent && this.suspected >= MANY_SUSPECTS;
  }
}

/** The last KEPT different pairs of texts, the latest first. Adding a known one allocates nothing. */
class Remembered {
  readonly all: Known[] = [];
  readonly #kindOf: KindOf | null;

  constructor(kindOf: KindOf | null = null) {
    this.#kindOf = kindOf;
  }

  add(one: string, other: string, route: string): Known {
    const known = this.find(one, other) ?? new Known(one, other, this.#kindOf);
    known.route = route;
    if (known === this.all[0]) return known;
    // An unknown one takes a new place, or that of the oldest.
    if (!this.all.includes(known) && this.all.length < KEPT) this.all.push(known);
    this.all.copyWithin(1, 0, (this.all.indexOf(known) + KEPT) % KEPT);
    this.all[0] = known;
    return known;
  }

  find(one: string, other = ''): Known | undefined {
    const first = one.slice(0, COMPARED);
    const second = other.slice(0, COMPARED);
    for (const known of this.all) if (known.one === first && known.other === second) return known;
    if (this.#kindOf === null) return undefined;
    const kind = this.#kindOf(first, second);
    return this.all.find((known) => known.kind === kind);
  }
}

type KindOf = (one: string, other: string) => string;

/** Another version, or another parameter of the type, makes no other look. */
const kindOf: KindOf = (userAgent, contentType) =>
  `${userAgent.replaceAll(/[0-9][0-9.]*/g, '')} ${contentType.replace(/;.*/, '')}`;
