// Which refused requests are deliveries: those with the look (User-Agent and Content-Type) and the address of accepted
// ones, or whose signature proves a secret of ours. What has no look is one if only deliveries come from its address. Once
// deliveries have stopped, a signed request with their look is one, too, and what has no look, from a shared address.
import { OVERLOAD_HINTS } from '../core/hint.ts';
import type { RequestRecord } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import type { Diagnosis } from './diagnoses.ts';
import { COMPARED, copied, type Detail, Tally } from './tallies.ts';
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
  readonly places = new Remembered();
  /** Behind a trusted proxy, the address of a connection is not that of its client. */
  readonly connections = new Remembered();
  accepted = 0;

  /** Called for each verified delivery, duplicates too, whatever the app then does. True if its sender is a new one. */
  accept(record: RequestRecord, route: string, now: number): boolean {
    this.accepted++;
    this.places.add(placeOf(record), '', route).accept(now);
    return this.prove(record, route, now);
  }

  /** Called for a refused request, too, that only a holder of a secret of ours can have sent: its look is a sender's. */
  prove({ userAgent, contentType, client, connectionAddress }: RequestRecord, route: string, at?: number): boolean {
    const isNewLook = this.#looks.add(userAgent, contentType, route).accept(at);
    const isNewClient = this.#clients.add(client, '', route).accept(at);
    return this.connections.add(connectionAddress, '', route).accept(at) || isNewLook || isNewClient;
  }

  /** Of an address that sends deliveries; before the first acceptance of any. Scanners later must not make us forget one. */
  #from(address: string): Trait | undefined {
    return this.accepted === 0 ? this.connections.add(address, '', '') : this.connections.find(address);
  }

  /** Called for a handshake that failed as health checks' do: some did so from there before the last delivery, too. */
  isCheck(address: string, now: number): boolean {
    const from = this.#from(address);
    if (from !== undefined) from.checkedAt = now;
    return this.accepted === 0 || from?.hasChecks === true;
  }

  /** Called for what has no signature and is no delivery: where such comes from, too, an address alone shows none. */
  share(record: Looks): void {
    const from = isUnread(record) ? undefined : this.#from(record.connectionAddress);
    if (from !== undefined) from.strange++;
  }

  /** Called for what was refused and is no delivery: it may be one, if deliveries from there or to there have stopped. */
  suspect(record: Looks & Detail, diagnosis: Diagnosis, now: number): void {
    const { client, connectionAddress, userAgent, contentType, method } = record;
    const from = isUnread(record) ? this.connections.find(connectionAddress) : this.#clients.find(client);
    const like = isSigned(record) ? this.#looks.find(userAgent, contentType) : from;
    like?.suspects.add(diagnosis, record, now);
    if (method === 'POST' && !isSigned(record)) this.places.find(placeOf(record))?.suspects.add(diagnosis, record, now);
  }

  /** The suspects of each route on which, or from an address from which, deliveries have stopped. */
  stopped(now: number): readonly Trait[] {
    // Strangers send POSTs to a known place all the time.
    const places = this.places.all.filter((trait) => trait.hasMore);
    const stopped = [...places, ...this.#clients.all, ...this.connections.all].filter((one) => one.hasStopped(now));
    return [...Map.groupBy(stopped, ({ route }) => route).values()].flatMap(([first]) => first ?? []);
  }

  /** The route on which what was refused would have been a delivery; null if it is none. An unsigned one must be a POST. */
  routeOf(record: Looks, now: number): string | null {
    const from = this.connectionOf(record);
    if (from !== undefined) return from.isShared(record) && !from.isMissed(now) ? null : from.route;
    const isKnown = this.#clients.find(record.client) !== undefined;
    if (!(isKnown && record.method === 'POST') && !isSigned(record)) return null; // mostly so: then no look is read
    const look = this.#looks.find(record.userAgent, record.contentType);
    return isKnown || look?.isMissed(now) === true ? (look?.route ?? null) : null;
  }

  /** For a connection that was turned away, and a head that was not read as too large or a front's: who sends from there. */
  connectionOf(record: Looks): Trait | undefined {
    const { connectionAddress, reason, hint } = record;
    const isFronts = reason === 'none' || reason === 'header_too_large' || hint?.fromFront === true;
    return isUnread(record) && isFronts ? this.connections.find(connectionAddress) : undefined;
  }

  /** What came on a route that a reload has removed would now come where none matches. */
  keepOnly(routes: ReadonlyMap<string, unknown>): void {
    for (const { all } of [this.#looks, this.#clients, this.places, this.connections])
      for (const trait of all) if (trait.route !== '' && !routes.has(trait.route)) trait.route = UNMATCHED;
  }

  /** True if all deliveries came on routes other than these. */
  areOnlyOutside(routes: ReadonlyMap<string, unknown>): boolean {
    return this.accepted > 0 && this.#looks.all.every(({ route }) => !routes.has(route));
  }
}

const placeOf = ({ route, path }: Pick<RequestRecord, 'route' | 'path'>) => (route === UNMATCHED ? path : route);

/** Causes that only a secret of ours shows. The others can be guessed (an empty secret), or their secret may have leaked. */
const PROOFS: readonly Diagnosis[] = [
  ...(['body-changed', 'body-compressed', 'other-route-secret', 'secret-form', 'trailing-newline'] as const),
];

/** True for a wrong signature that a front, or a usual mistake, made of a right one: whatever its look, it was a delivery. */
export const isProven = ({ hint }: Pick<RequestRecord, 'hint'>) =>
  hint !== null && hint.isGuess !== true && PROOFS.includes(hint.diagnosis);

export const isUnread = ({ method }: Pick<RequestRecord, 'method'>) => method === '';

export const isSigned = ({ signed, renamedHeader }: Pick<RequestRecord, 'signed' | 'renamedHeader'>) =>
  signed || renamedHeader !== null;

/** A look, an address or a place of deliveries; with an empty route, an address from before the first. */
export class Trait {
  readonly one: string;
  readonly other: string;
  /** What it has in common with others like it; empty where only equal texts are. */
  readonly kind: string;
  route = '';
  #accepted = 0;
  #firstAccepted = Number.NaN;
  lastAccepted = Number.NaN;
  #longestPause = 0;
  /** Of an address: when a handshake failed as a check's does, and whether one did shortly before the last acceptance. */
  checkedAt = Number.NaN;
  hasChecks = false;
  /** Of an address: how many requests came from there that are no deliveries. */
  strange = 0;
  readonly suspects = new Tally();
  /** How many suspects came before the last acceptance. */
  #before = 0;

  constructor(one: string, other: string, of: typeof kindOf) {
    this.one = copied(one);
    this.other = copied(other);
    this.kind = of(this.one, this.other);
  }

  /** True for its first delivery. */
  accept(now = Number.NaN): boolean {
    if (Number.isNaN(now)) return false;
    this.hasChecks = now - this.checkedAt < QUARTER;
    this.#longestPause = Math.max(this.#longestPause, now - this.lastAccepted || 0);
    if (this.#accepted++ === 0) this.#firstAccepted = now;
    this.lastAccepted = now;
    this.#before = this.suspects.total;
    return this.#accepted === 1;
  }

  /** True if it may be others'. A full door turns all away alike: there others are few up to a tenth. */
  isShared({ hint }: Pick<Looks, 'hint'>): boolean {
    return this.strange > (hint === OVERLOAD_HINTS.connections ? this.#accepted / 10 : 0);
  }

  get suspected(): number {
    return this.suspects.total - this.#before;
  }

  /** True if suspects come at least three times as often as before the last acceptance. */
  get hasMore(): boolean {
    const [before, after] = [this.lastAccepted - this.#firstAccepted, this.suspects.lastAt - this.lastAccepted];
    return this.suspected * before > 3 * this.#before * after;
  }

  /** True once deliveries have stopped, and more of what is no proven one comes than before: nobody could tell them apart. */
  isMissed(now: number): boolean {
    return this.hasMore && this.hasStopped(now);
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
  readonly all: Trait[] = [];
  readonly #kindOf: typeof kindOf;

  constructor(of: typeof kindOf = () => '') {
    this.#kindOf = of;
  }

  add(one: string, other: string, route: string): Trait {
    const trait = this.#get(one, other) ?? new Trait(one, other, this.#kindOf);
    trait.route = route || trait.route;
    if (trait === this.all[0]) return trait;
    // An unknown one takes a new place, or that of the oldest.
    if (!this.all.includes(trait) && this.all.length < KEPT) this.all.push(trait);
    this.all.copyWithin(1, 0, (this.all.indexOf(trait) + KEPT) % KEPT);
    this.all[0] = trait;
    return trait;
  }

  /** What came with a delivery of a route. */
  find(one: string, other = ''): Trait | undefined {
    const trait = this.#get(one, other);
    return trait?.route === '' ? undefined : trait;
  }

  #get(one: string, other: string): Trait | undefined {
    const first = one.slice(0, COMPARED);
    const second = other.slice(0, COMPARED);
    for (const trait of this.all) if (trait.one === first && trait.other === second) return trait;
    const kind = this.#kindOf(first, second);
    return kind === '' ? undefined : this.all.find((trait) => trait.kind === kind);
  }
}

/** Another version, or another parameter of the type, makes no other look. */
const kindOf = (userAgent: string, contentType: string) =>
  `${userAgent.replaceAll(/[0-9][0-9.]*/g, '')} ${contentType.replace(/;.*/, '')}`;
