// A deferred delivery as bytes, and back. The bytes are the request as it goes out, with a MAC that is keyed from the
// secret that verified it. Whoever can write to the store could else make deliveries, so nothing that is read here is
// believed before parser, admission and MAC have passed it, in this order; what follows may be anything.
//
//   head:  entrupy-deferred 1 LF, MAC LF, {"at", "secret", "failure"} LF, request line and lines as on the wire
//   body:  the body's bytes
import { Buffer } from 'node:buffer';
import { createHmac, hash, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { admit, admitBody, arrivalOf } from '../core/admission.ts';
import { isPrevious, Keyring } from '../core/keyring.ts';
import type { Permit } from '../core/permit.ts';
import type { Policy } from '../core/policy.ts';
import { Head } from '../core/request-head.ts';
import type { Route } from '../core/routes.ts';
import { stateOf } from '../core/secret-validity.ts';
import { outgoingHead } from '../upstream/outgoing-head.ts';
import { MessageParser } from '../wire/parser.ts';
import { MAX_PROGRESS, type StoredBytes } from './stores/store.ts';

/** The format, and its version. */
const FORMAT = 'entrupy-deferred 1';
/** Bytes of a head before the request: format, MAC and facts. */
const MAX_FACTS = 1024;
const MAC = /^[A-Za-z0-9_-]{43}$/;

/** What is stored besides the request. */
export interface Facts {
  /** When the delivery came, epoch milliseconds. */
  readonly at: number;
  /** The id of the secret that verified it. */
  readonly secret: string;
  /** Why the app did not take it: a status, or a word such as `connect`. */
  readonly failure: string;
}

/** What happened since: absent until it was sent again without success. */
export interface Progress {
  /** How often it was sent again. */
  readonly attempts: number;
  /** When last, epoch milliseconds. */
  readonly tried: number;
  readonly failure: string;
  /** True once the app refused it: it is sent again only when asked. */
  readonly stopped: boolean;
}

/** A verified request, as it goes out. */
export interface Outgoing {
  readonly head: Head;
  /** With `forwardedHeaders` applied. */
  readonly lines: readonly string[];
  readonly body: Buffer;
}

/** Why a record is not sent. `unreadable`: its form. `forged`: its MAC. `refused`: what admission says now. */
export interface Unverified {
  readonly kind: 'unverified';
  readonly why: 'unreadable' | 'forged' | 'refused';
  /** For the operator: the reason of the refusal, or what is wrong; of a closed set of words. */
  readonly detail: string;
  /** The route, as configured, that its target leads to now; null where it can't be read. */
  readonly route: string | null;
  /** What the record says of itself, which nobody vouches for; null where it can't be read. */
  readonly claims: Facts | null;
}

/** A record that passed everything. */
export interface Verified extends Outgoing {
  readonly kind: 'verified';
  readonly facts: Facts;
  readonly route: Route;
  /** Minted now, by the rules in force. */
  readonly permit: Permit;
  /** Null until it was sent again. */
  readonly progress: Progress | null;
  /** The bytes of new progress, bound to this record. */
  readonly sealProgress: (progress: Progress) => Buffer;
}

/** The event's id: equal for equal method, target and body. */
export function eventId({ method, target }: Pick<Head, 'method' | 'target'>, body: Uint8Array): string {
  const ofBody = hash('sha256', body, 'hex');
  return `${ofBody.slice(0, 16)}-${hash('sha256', `${method} ${target} ${ofBody}`, 'hex').slice(0, 32)}`;
}

/** Most bytes of a head: `forwardedHeaders` may have added to it, `Host` once more. */
export function mostHead(maxHeader: number): number {
  return 2 * maxHeader + MAX_FACTS;
}

/** The record of a delivery that `key` has verified. `name`: `redelivery.name`. */
export function sealRecord(outgoing: Outgoing, facts: Facts, { key, name }: Sealing): StoredBytes {
  const { at, secret, failure } = facts;
  const { body } = outgoing;
  const told = Buffer.from(`${JSON.stringify({ at, secret, failure })}\n${requestText(outgoing)}`, 'latin1');
  const mac = macOf(derived(key, 'record', name), [told, body]);
  return { head: Buffer.concat([Buffer.from(`${FORMAT}\n${mac}\n`, 'latin1'), told]), body };
}

interface Sealing {
  readonly key: KeyObject;
  readonly name: string;
}

/** A record from the store, and what it is judged by. */
export interface Reading {
  readonly id: string;
  readonly record: StoredBytes;
  readonly progress: Buffer | null;
  readonly policy: Policy;
  readonly name: string;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly maxHeader: number;
}

/** Reads a record as the request that it was: parser, whole admission, MAC. Never throws. */
export function openRecord(reading: Reading): Verified | Unverified {
  const framed = framedOf(reading.record.head);
  if (framed === null) return { kind: 'unverified', why: 'unreadable', detail: 'format', route: null, claims: null };
  const { facts, mac, told, request } = framed;
  const parsed = parsedOf(request, reading.record.body, reading.maxHeader);
  let label: string | null = null;
  const unverified = (why: Unverified['why'], detail: string): Unverified => {
    return { kind: 'unverified', why, detail, route: label, claims: facts };
  };
  if (parsed === null) return unverified('unreadable', 'request');
  const { head, lines } = parsed;
  const { body } = reading.record;
  const policy = policyAt(reading.policy, facts.at, reading.now);
  const arrival = arrivalOf(head, policy, reading.now);
  label = policy.routes.routeFor(arrival.path, reading.now).path;
  if (eventId(head, body) !== reading.id) return unverified('forged', 'id');
  const early = admit(arrival);
  // A route that only reports would forward some of what it refuses: nothing stored may use that.
  if (early.kind !== 'read') return unverified('refused', early.kind === 'refuse' ? early.reason : early.kind);
  const { kind, ...admission } = admitBody(early, arrival, body);
  if (!('permit' in admission)) return unverified('refused', admission.reason);
  const { permit, route } = admission;
  const secret = policy.keyring.secrets.find(({ id }) => id === permit.secret);
  if (kind !== 'forward' || permit.decision !== 'accepted' || secret === undefined) {
    return unverified('refused', permit.reason);
  }
  const { key } = secret;
  const { name } = reading;
  if (!isSame(mac, macOf(derived(key, 'record', name), [told, body]))) return unverified('forged', 'mac');
  const sealProgress = (progress: Progress) => sealedProgress(progress, derived(key, 'progress', name), mac);
  let progress: Progress | null = null;
  if (reading.progress !== null) {
    progress = peekProgress(reading.progress);
    if (progress === null || !sealProgress(progress).equals(reading.progress)) {
      return unverified('forged', 'progress');
    }
  }
  return { kind: 'verified', head, lines, body, facts, route, permit, progress, sealProgress };
}

/** What progress says of itself, which nobody vouches for; null if it can't be read. */
export function peekProgress(bytes: Buffer): Progress | null {
  if (bytes.length > MAX_PROGRESS) return null;
  const found = parsedJson(bytes.toString('latin1', bytes.indexOf('\n') + 1));
  const { attempts, tried, failure, stopped } = found;
  const sound = isCount(attempts) && isCount(tried) && isWord(failure) && typeof stopped === 'boolean';
  return sound ? { attempts, tried, failure, stopped } : null;
}

/** What a record says of itself, which nobody vouches for; null if it can't be read. For people. */
export function peekFacts({ head }: StoredBytes): (Facts & { readonly request: Buffer }) | null {
  const framed = framedOf(head);
  return framed === null ? null : { ...framed.facts, request: framed.request };
}

function sealedProgress(progress: Progress, key: Buffer, recordMac: string): Buffer {
  const { attempts, tried, failure, stopped } = progress;
  const told = Buffer.from(JSON.stringify({ attempts, tried, failure, stopped }), 'latin1');
  const mac = macOf(key, [Buffer.from(`${recordMac}\n`, 'latin1'), told]);
  return Buffer.concat([Buffer.from(`${mac}\n`, 'latin1'), told]);
}

/** A key for one use, which tells nothing about the secret (RFC 5869). Its label binds the app's name. */
function derived(key: KeyObject, use: 'record' | 'progress', name: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', `entrupy-signature-proxy deferred ${use} 1 ${name}`, 32));
}

/** Lengths go in, so that no byte can move from one part to the other. */
function macOf(key: Buffer, [first, second]: readonly [Buffer, Buffer]): string {
  const mac = createHmac('sha256', key).update(`${first.length} ${second.length}\n`);
  return mac.update(first).update(second).digest('base64url');
}

function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(Buffer.from(given, 'latin1'), Buffer.from(expected, 'latin1'));
}

/** The head as it goes out, but in the version that the client spoke: admission judges by it. */
function requestText({ head, lines, body }: Outgoing): string {
  const text = outgoingHead(head, { lines, bodyLength: body.length, connection: 'persist' });
  return head.version === '1.0' ? text.replace(' HTTP/1.1\r\n', ' HTTP/1.0\r\n') : text;
}

function framedOf(head: Buffer) {
  const formatEnd = head.indexOf('\n');
  const macEnd = head.indexOf('\n', formatEnd + 1);
  const factsEnd = head.indexOf('\n', macEnd + 1);
  if (formatEnd !== FORMAT.length || macEnd < 0 || factsEnd < 0 || factsEnd > MAX_FACTS) return null;
  const mac = head.toString('latin1', formatEnd + 1, macEnd);
  if (head.toString('latin1', 0, formatEnd) !== FORMAT || !MAC.test(mac)) return null;
  const { at, secret, failure } = parsedJson(head.toString('latin1', macEnd + 1, factsEnd));
  if (!isCount(at) || typeof secret !== 'string' || !isWord(failure)) return null;
  return { mac, facts: { at, secret, failure }, told: head.subarray(macEnd + 1), request: head.subarray(factsEnd + 1) };
}

function parsedJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isWord = (value: unknown): value is string => typeof value === 'string' && /^[a-z0-9_]{1,32}$/.test(value);

/** The head, if the bytes are exactly one head and `body` is exactly its body. */
function parsedOf(request: Buffer, body: Buffer, maxHeader: number) {
  const parser = new MessageParser('request', { head: mostHead(maxHeader) });
  try {
    const bytes = Buffer.from(request); // the parser may write to its bytes
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
 * The policy with the secrets that may verify a delivery that came at `at`: their dates held then. A replaced value
 * must hold now too: what ended it, an overlap or `retire-previous`, ended it for everything.
 */
function policyAt(policy: Policy, at: number, now: number): Policy {
  const may = policy.keyring.secrets.filter(
    (secret) => stateOf(secret, at) === 'live' && (!isPrevious(secret.id) || stateOf(secret, now) === 'live'),
  );
  return { ...policy, keyring: new Keyring(may.map((secret) => ({ ...secret, notBefore: null, notAfter: null }))) };
}
