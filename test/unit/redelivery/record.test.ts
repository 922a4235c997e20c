// What is read from a store is sent only if it is, in every byte, what was stored, and the rules of now allow it.
import { Buffer } from 'node:buffer';
import { describe, expect, test, vi } from 'vitest';
import { ByteBudget } from '../../../src/bodies/budget.ts';
import type { Policy } from '../../../src/core/admission.ts';
import { MAX_ADDED_LINES, MAX_LINES } from '../../../src/core/header-lines.ts';
import type { Secret } from '../../../src/core/keyring.ts';
import type { Route } from '../../../src/core/routes.ts';
import type { Note } from '../../../src/redelivery/note.ts';
import {
  admitRecord,
  type Deferrable,
  eventId,
  eventToStore,
  keyTag,
  type Rules,
  wantOf,
} from '../../../src/redelivery/record.ts';
import { sign } from '../../support/deliveries/signer.ts';
import {
  forward,
  head as headOf,
  NOW,
  policyOf as policyWith,
  reject,
  report,
  secret,
  verify,
} from '../core/fixtures.ts';

vi.useFakeTimers({ now: NOW });

const VALUE = 'record-secret-0123456789abcdef0123';
const OTHER = 'record-other-0123456789abcdef01234';
const HOUR = 3_600_000;
const BODY = Buffer.from('{"event":"\u00e9"}\r\n');
const CURRENT = secret('current', VALUE);

const policyOf = (routes: readonly Route[], secrets: readonly Secret[] = [CURRENT]) => policyWith(routes, secrets);
const POLICY = policyOf([verify('/notify'), verify('/other')]);

interface Made {
  readonly target?: string;
  readonly version?: string;
  readonly lines?: readonly string[];
  readonly body?: Buffer;
  readonly name?: string;
  readonly by?: Secret;
  readonly value?: string;
}

function made({ target = '/notify?a=1', version = '1.1', lines = [], body = BODY, ...rest }: Made = {}) {
  const { name = '', by = CURRENT, value = VALUE } = rest;
  const framing = ['Content-Length', `${body.length}`];
  const all = ['Host', 'h', ...lines, 'Entrupy-Signature', sign(value, body), ...framing];
  const head = headOf({ target, version, lines: all });
  const permit = { secret: by } as Deferrable['permit'];
  const delivery = { head, lines: all, body, came: NOW - HOUR, route: verify(head.path), permit };
  return eventToStore(delivery, '500', name);
}

interface Changes {
  readonly policy?: Policy;
  readonly name?: string;
  readonly maxHeader?: number;
  readonly note?: Note | null;
}

type Stored = Pick<Parameters<typeof admitRecord>[0], 'id' | 'record'>;

function open(stored: Stored, { policy = POLICY, name = '', maxHeader = 16_384, note = null }: Changes = {}) {
  const storeSettings = () => ({ name }) as ReturnType<Rules['storeSettings']>;
  return admitRecord(
    { ...stored, note },
    {
      policy: () => ({ ...policy, settings: { ...policy.settings, maxHeader } }),
      storeSettings,
      budget: new ByteBudget(2 ** 28),
    },
  );
}

function verified(stored: Stored): Deferrable {
  const { note, request } = open(stored);
  if (request === null) throw new Error(note.failure);
  return request;
}

const told = (...given: Parameters<typeof open>) => {
  const { note, request } = open(...given);
  return request === null ? note.failure : 'verified';
};

describe('what was stored', () => {
  test('comes back with its lines, its body, and a permit of now', () => {
    const lines = [
      'X-Odd',
      'two  spaces',
      'x-odd',
      'caf\xe9',
      'TE',
      'trailers',
      'Connection',
      'TE, x-hop',
      'X-Hop',
      '1',
    ];
    const stored = made({ lines });
    const opened = verified(stored);
    expect(opened.head.target).toBe('/notify?a=1');
    expect(opened.lines.filter((_, at) => at % 2 === 0)).toEqual([
      ...['Host', 'X-Odd', 'x-odd', 'TE', 'Entrupy-Signature', 'Content-Length', 'Connection'],
    ]);
    expect(opened.lines[5]).toBe('caf\xe9');
    expect(opened.body).toBe(opened.permit.body);
    expect(opened.body.equals(BODY)).toBe(true);
    expect(opened.permit).toMatchObject({ decision: 'accepted', secret: { id: 'current' } });
    expect(open(stored).note).toEqual({
      ...{ came: NOW - HOUR, secret: 'current', key: keyTag(CURRENT.key), failure: '500', attempts: 0, tried: 0 },
      passed: 0,
      ...{ route: '/notify', method: 'POST', path: '/notify' },
    });
    expect(opened.route.path).toBe('/notify');
  });

  test('a delivery in HTTP/1.0 is one again', () => {
    expect(verified(made({ version: '1.0' })).head.version).toBe('1.0');
  });

  test.each([2000, 5000])('on a route whose path is longer than a note may be: %i', (length) => {
    const target = `/${'x'.repeat(length)}`;
    expect(told(made({ target }), { policy: policyOf([verify(target)]) })).toBe('verified');
  });

  test('with an empty body', () => {
    expect(verified(made({ body: Buffer.alloc(0) })).body.length).toBe(0);
  });
});

describe('a record that was changed is not sent', () => {
  const stored = made();

  test('in any of its bits', () => {
    for (const part of stored.record) {
      for (let at = 0; at < part.length; at++) {
        for (const bit of [0x01, 0x20, 0x80]) {
          const [head, body] = stored.record.map((each) => Buffer.from(each)) as [Buffer, Buffer];
          const changed = part === stored.record[0] ? head : body;
          changed[at] = (changed[at] ?? 0) ^ bit;
          expect(told({ ...stored, record: [head, body] }), `${at} of ${part.length}`).not.toBe('verified');
        }
      }
    }
  });

  test('none, in one piece, as stores give it back', () => {
    const [head, body] = stored.record;
    const whole = new Uint8Array(Buffer.concat([head, body]));
    expect(told({ ...stored, record: whole })).toBe('verified');
    expect(told({ ...stored, record: whole.subarray(0, head.length - 1) })).toBe('unreadable');
    expect(told({ ...stored, record: null })).toBe('limits');
  });

  test('cut or longer at any place', () => {
    const [head, body] = stored.record;
    for (let at = 0; at < head.length; at++) {
      expect(told({ ...stored, record: [head.subarray(0, at), body] })).not.toBe('verified');
      const longer = Buffer.concat([head.subarray(0, at), Buffer.from('x'), head.subarray(at)]);
      expect(told({ ...stored, record: [longer, body] })).not.toBe('verified');
    }
    const longer = Buffer.concat([body, Buffer.from('x')]);
    for (const other of [longer, body.subarray(1), Buffer.alloc(0)]) {
      expect(told({ ...stored, record: [head, other] })).toBe('unreadable');
    }
    const moved = [Buffer.concat([head, body.subarray(0, 1)]), body.subarray(1)] as const;
    expect(told({ ...stored, record: moved })).not.toBe('verified');
  });

  // Changed by somebody who can write, and knows the format.
  test.each<[what: string, from: string | RegExp, to: string, expected: string]>([
    ['its target', '/notify?a=1', '/notify?a=2', 'altered'],
    ['its route', '/notify?', '/other?', 'altered'],
    ['a line more', 'Host: h', 'Host: h\r\nX-Admin: yes', 'altered'],
    ['a CRLF in a line', 'Host: h', 'Host: h\r\n\r\nGET / HTTP/1.1', 'unreadable'],
    ['a bare LF in a line', 'Host: h', 'Host: h\nX-Admin: yes', 'unreadable'],
    ['a header that reroutes', 'Host: h', 'Host: h\r\nX-Original-URL: /a', 'bad_request'],
    ['chunks', /Content-Length: \d+/, 'Transfer-Encoding: chunked', 'unreadable'],
    ['its format', 'entrupy-deferred 1', 'entrupy-deferred 2', 'unreadable'],
    ['no MAC', /\n[^\n]+\n/, '\n\n', 'unreadable'],
    ['another MAC', /\n[^\n]+\n/, `\n${'A'.repeat(43)}\n`, 'altered'],
  ])('in %s', (_what, from, to, expected) => {
    const head = Buffer.from(stored.record[0].toString('latin1').replace(from, to), 'latin1');
    expect(told({ ...stored, record: [head, stored.record[1]] })).toBe(expected);
  });

  test('under the id of another, or with the body of another', () => {
    const other = made({ target: '/other' });
    expect(told({ id: other.id, record: stored.record })).toBe('altered');
    expect(told({ id: stored.id, record: other.record })).toBe('altered');
    const body = Buffer.from('{"event":2}');
    const next = made({ body });
    expect(told({ id: stored.id, record: [stored.record[0], body] })).not.toBe('verified');
    expect(told({ id: next.id, record: [stored.record[0], body] })).not.toBe('verified');
  });

  test('of an app with another name, or by whoever knows only the format', () => {
    expect(told(made({ name: 'orders' }))).toBe('name');
    expect(told(made({ name: 'orders' }), { name: 'orders' })).toBe('verified');
    expect(told(made({ by: { ...CURRENT, key: secret('x', OTHER).key } }))).toBe('altered');
  });

  test('with more lines than a sender and the proxy have together', () => {
    const lines = (count: number) => Array.from({ length: count - 3 }, () => ['X', '']).flat();
    expect(told(made({ lines: lines(MAX_LINES + MAX_ADDED_LINES) }))).toBe('verified');
    expect(told(made({ lines: lines(MAX_LINES + MAX_ADDED_LINES + 1) }))).toBe('unreadable');
  });

  test('larger than maxHeader allows', () => {
    const large = made({ lines: ['X-Large', 'x'.repeat(8000)] });
    expect(told(large)).toBe('verified');
    expect(told(large, { maxHeader: 1024 })).toBe('limits');
    const body = Buffer.alloc(2000);
    expect(told(made({ body }), { policy: policyOf([verify('/notify', { maxBody: 1999 })]) })).toBe('limits');
  });
});

describe('the rules of now', () => {
  const stored = made();

  test.each([
    ['the route forwards', [forward('/notify')], 'route_gone'],
    ['the route rejects', [reject('/notify')], 'route_gone'],
    ['the route is gone', [], 'route_gone'],
    ['the method is not allowed', [verify('/notify', { methods: ['PUT'] })], 'route_gone'],
    ['the query is refused', [verify('/notify', { query: 'refuse' })], 'bad_request'],
    ['the route lists another secret', [verify('/notify', { secrets: ['other'] })], 'secret_gone'],
    ['the route reports and the signature is right', [report('/notify')], 'verified'],
  ])('%s', (_what, routes, expected) => {
    expect(told(stored, { policy: policyOf(routes) })).toBe(expected);
    expect(open(stored, { policy: policyOf(routes) }).note.route).toBe('/notify');
  });

  test('a target that is read as two routes needs what both list, and is not woken for less', () => {
    const twoFold = made({ target: '/hooks/x//notify' });
    const under = (...secrets: readonly string[]) => policyOf([verify('/hooks/*'), verify('/notify', { secrets })]);
    expect(told(twoFold, { policy: under('current') })).toBe('verified');
    const { note } = open(twoFold, { policy: under('other') });
    expect([note.failure, wantOf(note, under('other')).why]).toEqual(['route_gone', 'route_gone']);
  });

  test('report mode excuses nothing that is stored', () => {
    const wrong = made({ value: OTHER });
    expect(told(wrong)).toBe('altered');
    expect(told(wrong, { policy: policyOf([report('/notify')]) })).toBe('altered');
    expect(told(stored, { policy: policyOf([report('/notify')], []) })).toBe('secret_gone');
  });
});

test('what is not sent came now at the latest, whatever the note beside it says', () => {
  const { note, ...stored } = made();
  const cameAt = (came: number) => open(stored, { policy: policyOf([]), note: { ...note, came } }).note.came;
  expect([cameAt(NOW - HOUR), cameAt(NOW + HOUR)]).toEqual([NOW - HOUR, NOW]);
});

describe('the secrets that may verify it', () => {
  const came = NOW - HOUR;
  const policyUnder = (...secrets: readonly Secret[]) => policyOf([verify('/notify')], secrets);
  const under = (...secrets: readonly Secret[]) => told(made(), { policy: policyUnder(...secrets) });

  test.each([
    ['one that has expired since', secret('current', VALUE, { notAfter: came + 1 }), 'verified'],
    ['one that had expired', secret('current', VALUE, { notAfter: came }), 'secret_gone'],
    ['one that was not valid yet', secret('current', VALUE, { notBefore: came + 1 }), 'secret_gone'],
    ['a replaced value within its overlap', secret('current.previous', VALUE, { notAfter: NOW + 1 }), 'verified'],
    ['a replaced value whose overlap has ended', secret('current.previous', VALUE, { notAfter: NOW }), 'secret_gone'],
    ['another name with the value', secret('renamed', VALUE), 'verified'],
    ['another value', secret('current', OTHER), 'secret_gone'],
  ])('%s', (_what, one, expected) => {
    expect(under(one)).toBe(expected);
    // So no process looks again and again at what it cannot verify, either.
    const refused = { ...made().note, failure: 'secret_gone' };
    const unlisted = policyOf([verify('/notify', { secrets: ['other'] })], [one]);
    const whys = [policyUnder(one), unlisted].map((policy) => wantOf(refused, policy).why);
    expect(whys).toEqual(expected === 'verified' ? ['elsewhere', 'secret_unlisted'] : [expected, expected]);
    expect(wantOf({ ...refused, failure: '503' }, policyUnder(one)).why).toBe('503');
  });

  test('one of several', () => {
    expect(under(secret('current', OTHER), secret('old', VALUE, { notAfter: came + 1 }))).toBe('verified');
  });
});

test('equal events have equal ids, others do not, and the first part names the body', () => {
  const of = (method: string, target: string, body: string) => eventId({ method, target }, Buffer.from(body));
  const ids = [of('POST', '/n', 'a'), of('PUT', '/n', 'a'), of('POST', '/n?', 'a'), of('POST', '/n', 'b')];
  expect(new Set(ids).size).toBe(4);
  expect(of('POST', '/n', 'a')).toBe(ids[0]);
  expect(new Set(ids.slice(0, 3).map((id) => id.slice(0, 16))).size).toBe(1);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}-[0-9a-f]{32}$/);
});
