// A deferred delivery as bytes, and back: the request as it is sent upstream, with a MAC whose key is derived from the
// secret that verified it. Whoever can write to the store could otherwise forge deliveries, so nothing that is read is
// trusted until parser, admission and MAC have passed it, in this order; until then each part below may hold anything.
//
//   preamble:  entrupy-deferred 1 NAME LF, MAC LF, the first note LF, request line and header lines as on the wire
//   body:      the body's bytes
import { Buffer } from 'node:buffer';
import { createHmac, hash, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { printable } from '../base/printable.ts';
import { type Admission, admit, admitBody, type Policy, type ToRead } from '../core/admission.ts';
import { MAX_ADDED_LINES, MAX_LINES } from '../core/header-lines.ts';
import { currentOf, isListed, isPrevious, Keyring, type Secret, stateOf } from '../core/keyring.ts';
import type { Permit } from '../core/permit.ts';
import { REASON_NAMES, type Reason } from '../core/reasons.ts';
import { Head } from '../core/request-head.ts';
import { bodyTag, shownPath } from '../core/request-record.ts';
import { type Route, UNMATCHED } from '../core/routes.ts';
import { outgoingHead } from '../core/sent-head.ts';
import { MessageParser } from '../wire/parser.ts';
import { MAX_NOTE, NO_NOTE, type Note, noteText, readNote } from './note.ts';
import type { Needs } from './process-parts.ts';
import type { Leased, StoredEvent } from './stores/store.ts';

const FORMAT = 'entrupy-deferred 1';

/** A verified request, as it is sent upstream: to be stored if the app does not take it, or read back from the store. */
export interface Deferrable {
  readonly head: Head;
  /** The header lines, with `forwardedHeaders` applied. */
  readonly lines: readonly string[];
  readonly body: Buffer;
  readonly route: Route;
  readonly permit: Permit;
  /** When it came, in epoch milliseconds. */
  readonly came: number;
}

/** The event to store for a delivery. `failure`: why the app did not take it. `name`: `redelivery.name`. */
export function eventToStore(delivery: Deferrable, failure: string, name: string): StoredEvent {
  const { came, route, head, body, permit } = delivery;
  const { id: secret, key } = signerOf(permit);
  const path = printable(shownPath(head.path));
  const origin = { came, route: route.path, method: head.method, path, secret, key: keyTag(key) };
  const note: Note = { ...NO_NOTE, ...origin, failure };
  const covered = Buffer.from(`${noteText(note)}\n${requestText(delivery)}`, 'latin1');
  const mac = macOf(derived(key, 'record', name), covered, body);
  const frame = Buffer.from(`${FORMAT} ${name}\n${mac}\n`, 'latin1');
  return { id: eventId(head, body), note, record: [Buffer.concat([frame, covered]), body] };
}

/** The event's id: equal for equal method, target and body. */
export function eventId({ method, target }: Pick<Head, 'method' | 'target'>, body: Uint8Array): string {
  const ofBody = hash('sha256', body, 'hex');
  return `${bodyTag(ofBody)}-${hash('sha256', `${method} ${target} ${ofBody}`, 'hex').slice(0, 32)}`;
}

function signerOf({ secret }: Permit): Secret {
  if (secret === null) throw new Error('no secret has verified it');
  return secret;
}

/** A short tag that identifies a secret's value and reveals nothing about it (RFC 5869). */
export const keyTag = (key: KeyObject): string => derived(key, 'tag', '').toString('hex', 0, 6);

/** The head as it is sent, but with the client's HTTP version, which admission judges. */
function requestText({ head, lines, body }: Deferrable): string {
  const text = outgoingHead(head, { lines, bodyLength: body.length, connection: 'persist' });
  return head.version === '1.0' ? text.replace(' HTTP/1.1\r\n', ' HTTP/1.0\r\n') : text;
}

/** The derived keys of each secret, by label: to derive one took a tenth of a sending. */
const derivedKeys = new WeakMap<KeyObject, Map<string, Buffer>>();

/** Derives a key for one use, which reveals nothing about the secret (RFC 5869). `name` is part of its label. */
function derived(key: KeyObject, use: 'record' | 'tag', name: string): Buffer {
  const label = `entrupy-signature-proxy deferred ${use} 1 ${name}`;
  const ofSecret = derivedKeys.get(key) ?? new Map<string, Buffer>();
  const derivedKey = ofSecret.get(label) ?? Buffer.from(hkdfSync('sha256', key, '', label, 32));
  derivedKeys.set(key, ofSecret.set(label, derivedKey));
  return derivedKey;
}

/** The MAC covers the lengths too, so that no byte can move from one part to the other. */
function macOf(key: Buffer, covered: Buffer, body: Buffer): string {
  const lengths = `${covered.length} ${body.length}\n`;
  return createHmac('sha256', key).update(lengths).update(covered).update(body).digest('base64url');
}

/** The maximum number of bytes in a record that can be sent: one larger than the budget would wait for room forever. */
export function mostSendable({ policy, budget }: Pick<Needs, 'policy' | 'budget'>): number {
  const { routes, settings } = policy();
  return Math.min(mostBytes(settings.maxHeader, routes.all), budget.most);
}

export function mostBytes(maxHeader: number, routes: readonly Route[]): number {
  return mostPreamble(maxHeader) + Math.max(...routes.map(({ maxBody }) => maxBody));
}

/** The maximum number of bytes in a preamble. `forwardedHeaders` may have made it longer, e.g. by a copy of `Host`. */
const mostPreamble = (maxHeader: number) => 2 * maxHeader + MAX_FRAME;

/**
 * Why a record is not sent, in one word for lists, status page and log. `unreadable`: malformed. `limits`: larger than
 * the limits now allow. `name`: stored under another `redelivery.name`. `secret_gone`: its route no longer has the
 * secret that verified it. `route_gone`: no route takes such a request any more. `altered`: its bytes are not those
 * that were stored. Else the reason for which the rules refuse the request.
 */
export type Why = (typeof OWN_WHYS)[number] | Reason;
const OWN_WHYS = ['unreadable', 'limits', 'name', 'secret_gone', 'route_gone', 'altered'] as const;
/** Any other failure in a note is one of the app's. */
export const ALL_WHYS: ReadonlySet<string> = new Set<Why>([...OWN_WHYS, ...REASON_NAMES]);

export type Rules = Pick<Needs, 'policy' | 'storeSettings' | 'budget'>;

/** An event as it was leased, or as it is about to be stored. */
type AnyEvent = Pick<Leased, 'id' | 'note'> & { readonly record: Leased['record'] | StoredEvent['record'] };

/**
 * Reads a record (null: too large) back as a request with a new permit, if parser, admission and MAC pass it; else the
 * request is null, and the `failure` of the note a `Why`. The note has the route that takes such a request now. Never throws.
 */
export function admitRecord({ id, record, note: beside }: AnyEvent, rules: Rules) {
  const now = Date.now();
  const checked = checkRecord(id, record, { rules, now });
  if ('request' in checked) {
    const { firstNote, route, request } = checked;
    const { attempts, passed, tried, failure: last } = beside ?? firstNote;
    const failure = ALL_WHYS.has(last) ? firstNote.failure : last; // it is sendable again
    return { note: { ...firstNote, route, attempts, passed, tried, failure }, request };
  }
  const { firstNote = null, route = null, why: failure } = checked;
  const last = beside ?? firstNote ?? { ...NO_NOTE, came: now };
  // A note dated in the future would delay the delivery's expiry, perhaps forever.
  const note = { ...last, came: Math.min(last.came, now), route: route ?? last.route, failure };
  // A second route that its target may mean lacks the secret: the queue, which looks at one, would wake it for ever.
  const isHere = wantOf(note, rules.policy()).why === 'elsewhere';
  return { note: isHere ? { ...note, failure: 'route_gone' } : note, request: null };
}

/** `route`: the one that takes it now, else the one that took it. What is not known is missing. */
type Checked =
  | { readonly firstNote: Note; readonly route: string; readonly request: Deferrable }
  | { readonly firstNote?: Note; readonly route?: string; readonly why: Why };

function checkRecord(id: string, stored: AnyEvent['record'], { rules, now }: { rules: Rules; now: number }): Checked {
  if (stored === null) return { why: 'limits' };
  const record = stored instanceof Uint8Array ? splitRecord(stored) : stored;
  if (record !== null && record[0].length + record[1].length > mostSendable(rules)) return { why: 'limits' };
  const framed = record && framedOf(record);
  if (framed === null) return { why: 'unreadable' };
  const { name, mac, covered, requestBytes, body, firstNote } = framed;
  const inForce = rules.policy();
  const { maxHeader } = inForce.settings;
  if (requestBytes.length > mostPreamble(maxHeader)) return { firstNote, why: 'limits' };
  const parsed = parsedOf(requestBytes, body, maxHeader);
  if (parsed === null) return { firstNote, why: 'unreadable' };
  const { head, lines } = parsed;
  const policy = policyAt(inForce, firstNote.came, now);
  const routeNow = policy.routes.routeFor(head.path, now);
  const path = routeNow?.action === 'verify' ? routeNow.path : (firstNote.route ?? UNMATCHED);
  const notSent = (why: Why): Checked => ({ firstNote, route: path, why });
  if (eventId(head, body) !== id) return notSent('altered');
  const applicant = { head, policy, at: now };
  const byHead = admit(applicant);
  const admission = byHead.kind === 'read' ? admitBody(byHead, applicant, body) : byHead;
  // A route in report mode forwards what it would otherwise refuse: nothing from the store may profit from that.
  if (admission.kind !== 'permit' || admission.permit.decision !== 'accepted') {
    return notSent(whyRefused(admission, policy.keyring.listed(routeNow?.secrets ?? null), firstNote));
  }
  if (name !== rules.storeSettings().name) return notSent('name');
  const { route, permit } = admission;
  const expected = macOf(derived(signerOf(permit).key, 'record', name), covered, body);
  if (!timingSafeEqual(Buffer.from(mac), Buffer.from(expected))) return notSent('altered');
  return { firstNote, route: path, request: { head, lines, body, route, permit, came: firstNote.came } };
}

/** Splits a stored record into preamble and body; null if it holds no whole preamble. */
export function splitRecord({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): StoredEvent['record'] | null {
  const bytes = Buffer.from(buffer, byteOffset, length);
  const end = bytes.indexOf('\r\n\r\n') + 4;
  return end < 4 ? null : [bytes.subarray(0, end), bytes.subarray(end)];
}

/** The maximum number of bytes in a preamble before the request: format, `redelivery.name`, MAC and note. */
const MAX_FRAME = MAX_NOTE + 512;
/** What stands before the request. The MAC covers the note, which is last, and what follows. */
const FRAME = new RegExp(`^${FORMAT} ([\\w.-]*)\\n([\\w-]{43})\\n(\\{.*\\})\\n`);

function framedOf([preamble, body]: StoredEvent['record']) {
  const [frame, name, mac, noted] = FRAME.exec(preamble.toString('latin1', 0, MAX_FRAME)) ?? [];
  if (frame === undefined || name === undefined || mac === undefined || noted === undefined) return null;
  const firstNote = readNote(noted);
  const covered = preamble.subarray(frame.length - noted.length - 1);
  return firstNote && { name, mac, firstNote, covered, requestBytes: preamble.subarray(frame.length), body };
}

/** The parsed head, if the bytes are exactly one head and `body` is exactly its body; else null. */
function parsedOf(requestBytes: Buffer, body: Buffer, maxHeader: number) {
  // Lines that the proxy added do not count against the sender's limit, so every accepted request can be stored.
  const parser = new MessageParser('request', mostPreamble(maxHeader), MAX_LINES + MAX_ADDED_LINES);
  try {
    const bytes = Buffer.from(requestBytes); // the parser may write to its bytes
    let at = 0;
    while (at < bytes.length && parser.state === 'head') at = parser.read(bytes, at);
    if (!parser.hasHead || at !== bytes.length || parser.state === 'failed') return null;
    const { framing, remaining, lines } = parser;
    if (framing !== 'length' && framing !== 'none') return null;
    if (framing === 'length' ? remaining !== body.length : body.length > 0) return null;
    return { head: new Head(parser, lines), lines };
  } finally {
    parser.free();
  }
}

/**
 * The policy with only the secrets that were live when the delivery came. A previous value must also be live
 * now: the end of its overlap, or `retire-previous`, ends it for stored deliveries as well.
 */
function policyAt(policy: Policy, came: number, now: number): Policy {
  const may = policy.keyring.secrets.filter(
    (secret) => stateOf(secret, came) === 'live' && (!isPrevious(secret.id) || stateOf(secret, now) === 'live'),
  );
  return { ...policy, keyring: new Keyring(may.map((secret) => ({ ...secret, notBefore: null, notAfter: null }))) };
}

/** The `Why` that replaces a reason to refuse, if another fits better; `none`: the rules do not refuse the request. */
const WHYS: Readonly<Partial<Record<Reason | 'none', Why>>> & { readonly none: Why } = {
  none: 'route_gone',
  route_rejected: 'route_gone',
  method_not_allowed: 'route_gone',
  body_too_large: 'limits',
  no_live_secret: 'secret_gone',
  signature_mismatch: 'secret_gone',
  expired_secret: 'secret_gone',
};

function whyRefused(admission: Exclude<Admission, ToRead>, listed: readonly Secret[], { key }: Note): Why {
  const reason = admission.kind === 'refuse' ? admission.reason : admission.permit.reason;
  const why = WHYS[reason] ?? (reason as Reason);
  return why === 'secret_gone' && listed.some(isOfKey(key)) ? 'altered' : why;
}

const isOfKey = (tag: string) => (secret: Secret) => keyTag(secret.key) === tag;

/** Why an event is not verified, and for want of which secret; `elsewhere`: only another process, or an earlier one, lacked it. */
export function wantOf(event: Pick<Note, 'failure' | 'secret' | 'key' | 'route' | 'came'>, policy: Policy) {
  const { failure: why, secret } = event;
  const route = policy.routes.all.find(({ path }) => path === event.route);
  if (why !== 'secret_gone') return { why, secret };
  if (route === undefined) return { why: 'route_gone', secret };
  const held = policyAt(policy, event.came, Date.now()).keyring.secrets.filter(isOfKey(event.key));
  const listed = held.find(({ id }) => isListed(id, route.secrets));
  if (listed !== undefined) return { why: 'elsewhere', secret: currentOf(listed.id) };
  return held[0] === undefined ? { why, secret } : { why: 'secret_unlisted', secret: currentOf(held[0].id) };
}
