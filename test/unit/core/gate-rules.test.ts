// Each rule of the gate: heads that only this rule refuses, near misses that pass, and what would get through without
// it. And why it refuses: a header's name, and what would let the request through.
import { describe, expect, test } from 'vitest';
import { GATE, RULES, refusedByGate, refusedForHeaders, whyNeverAllowed } from '../../../src/core/gate-rules.ts';
import { forward, head, reject, split, verify } from './fixtures.ts';

type Changes = Parameters<typeof head>[0];

interface Example {
  readonly rule: string;
  readonly refused: readonly Changes[];
  /** The nearest that a legitimate request may come. */
  readonly passes: readonly Changes[];
}

const lines = (...more: string[]): Changes => ({ lines: ['Host', 'a', ...more] });
const host = (...values: string[]): Changes => ({ lines: values.flatMap((value) => ['Host', value]) });
const length = (...values: string[]) => lines(...values.flatMap((value) => ['Content-Length', value]));
const coding = (...values: string[]) => lines(...values.flatMap((value) => ['Transfer-Encoding', value]));
const connection = (...values: string[]) => lines(...values.flatMap((value) => ['Connection', value]));
const targets = (...list: string[]): Changes[] => list.map((target) => ({ target }));

const EXAMPLES: readonly Example[] = [
  {
    rule: 'version',
    refused: [{ version: '2.0' }, { version: '0.9' }, { version: '1.2' }, { version: '' }],
    passes: [{ version: '1.1' }, { version: '1.0' }],
  },
  { rule: 'connect', refused: [{ method: 'CONNECT' }], passes: [{ method: 'GET' }, { method: 'OPTIONS' }] },
  {
    rule: 'origin-form',
    refused: targets('*', 'http://any/notify', 'any:443', 'notify', ''),
    passes: targets('/', '/*', '//any/notify'),
  },
  { rule: 'one-host', refused: [host('a', 'a'), host('a', 'b')], passes: [host('a')] },
  {
    rule: 'plain-host',
    refused: [...['', 'a, b', 'a/b', 'a@b', 'a?b', 'a b', 'a#b', '\xe9', 'a\\b', 'a;b', 'a|b', '{a}', "a'b"]].map(
      (value) => host(value),
    ),
    passes: split('a.example:8080 [::1]:8080 A_b-c 127.0.0.1').map((value) => host(value)),
  },
  { rule: 'one-content-length', refused: [length('3', '3'), length('3', '4')], passes: [length('3')] },
  {
    rule: 'plain-content-length',
    refused: ['', '010', '03', '+3', '-1', '3,3', '3, 3', '0x3', '3.0', '1e3', '9'.repeat(16)].map((value) =>
      length(value),
    ),
    passes: [length('0'), length('10'), length('9'.repeat(15)), lines()],
  },
  {
    rule: 'plain-transfer-encoding',
    refused: [
      ...['gzip, chunked', ',chunked', 'chunked,', 'identity', 'xchunked', 'chunked;x', '', 'chunked, chunked'],
      ...[
        ['identity', 'chunked'],
        ['chunked', 'chunked'],
      ],
    ].map((values) => coding(...[values].flat())),
    passes: [coding('chunked'), coding('ChUnKed')],
  },
  {
    rule: 'one-framing',
    refused: [
      lines('Content-Length', '3', 'Transfer-Encoding', 'chunked'),
      lines('Transfer-Encoding', 'chunked', 'content-length', '0'),
    ],
    passes: [length('3'), coding('chunked')],
  },
  {
    rule: 'chunked-needs-1.1',
    refused: [{ version: '1.0', ...coding('chunked') }],
    passes: [{ version: '1.0', ...length('3') }],
  },
  {
    rule: 'connection-names',
    refused: [
      ...split('Host content-length Content-Type Authorization cookie Transfer-Encoding Entrupy-Signature'),
      ...split('entrupy_signature X-Forwarded-For x-forwarded-prefix Forwarded x-real-ip Content-Encoding'),
      ...['close, entrupy-signature', 'close ,\tCookie ,', ['keep-alive', 'cookie'], ['cookie', 'close']],
    ].map((values) => connection(...[values].flat())),
    passes: ['close', 'keep-alive', 'Keep-Alive, TE', 'upgrade', 'x-host', 'cookies', 'entrupy-signature-2', ''].map(
      (value) => connection(value),
    ),
  },
  {
    rule: 'expectation',
    refused: [lines('Expect', '200-ok'), lines('Expect', ''), lines('Expect', '100-continue', 'Expect', 'x')],
    passes: [lines('Expect', '100-continue'), lines('Expect', '100-Continue')],
  },
  { rule: 'no-fragment', refused: targets('/notify#x', '/#', '/a?b#c'), passes: targets('/notify%23x', '/a?b%23') },
  {
    rule: 'path-characters',
    refused: targets(...['"', '<', '>', '\\', '^', '`', '{', '|', '}'].map((character) => `/a${character}b`)),
    passes: targets("/a!$&'()*+,;=:@~b", '/a?"<>\\^`{|}', '/a%5Cb%22'),
  },
  {
    rule: 'query-characters',
    refused: targets('/a?b c', '/a?\t', '/a?\x00', '/a?\x7f', '/a?\x80', '/a?\xff'),
    passes: targets('/a?b+c', '/a?%00', '/a?!~', '/a??'),
  },
  {
    rule: 'percent-escapes',
    refused: targets('/%', '/%2', '/%zz', '/%u006eotify', '/a%/b', '/%2%35', '/%%32'),
    passes: targets('/%25', '/%c3%A9', '/?100%', '/?%zz'),
  },
  {
    rule: 'encoded-controls',
    refused: targets('/%00', '/%0a', '/%0D', '/%1F', '/%7f', '/%7F', '/a%09b'),
    passes: targets('/%20', '/%7e', '/%80', '/%2500', '/?%00'),
  },
];

test('an honest head passes', () => {
  expect(refusedByGate(head())).toBeNull();
  expect(
    refusedByGate(head({ method: 'GET', target: '/?q={a|b}&p=100%', lines: ['Host', 'a', 'Connection', 'close'] })),
  ).toBeNull();
});

test('each rule has examples, and says what it stops', () => {
  expect(EXAMPLES.map(({ rule }) => rule)).toEqual(Object.keys(GATE));
  expect(Object.keys(RULES)).toEqual([...Object.keys(GATE), 'path', 'route-headers', 'query', 'parser', 'head-size']);
  for (const stops of Object.values(RULES)) expect(stops).toMatch(/\w/);
  for (const { refused, passes } of EXAMPLES) expect([refused.length > 0, passes.length > 0]).toEqual([true, true]);
});

describe.each(EXAMPLES)('$rule', ({ rule, refused, passes }) => {
  test('refuses its examples, which no other rule does: without it each would get through', () => {
    const rulesThatRefuse = (changes: Changes) =>
      Object.entries(GATE).flatMap(([name, { refuses }]) => (refuses(head(changes)) ? name : []));
    for (const changes of refused) {
      expect([changes, refusedByGate(head(changes))?.rule]).toEqual([changes, rule]);
      expect([changes, rulesThatRefuse(changes)]).toEqual([changes, [rule]]);
    }
  });

  test('lets its near misses through', () => {
    for (const changes of passes) expect([changes, refusedByGate(head(changes))?.rule]).toEqual([changes, undefined]);
  });
});

test('names that shadow or re-route are refused, and what only resembles them is not', () => {
  const named = (name: string) => refusedForHeaders(head(lines(name, 'x')), verify('/notify'))?.header ?? null;
  const rerouting = [
    'x-forwarded-PREFIX X.Forwarded.Prefix X.Original.Path Path.Info X-Script-Name X-Original-URI X-Original-Method',
    'X-Override-URL X-Rewrite-URI X-HTTP-Method X-Forwarded-URI X-Forwarded-Path X-Forwarded-Method',
    'X-Original-URL X-Rewrite-URL X-Rewrite-Path X-Invoke-Path X-Matched-Path X-HTTP-Method-Override X-Method-Override',
    'SCRIPT_NAME PATH_INFO X_Custom __proto__ Content_Type Script.Name X_Original_URL Entrupy_Signature',
  ];
  for (const name of split(rerouting.join(' '))) expect(named(name)).toBe(name.toLowerCase());
  for (const name of split('X.Dotted X-Envoy-Original-Path X-Replaced-Path')) expect(named(name)).toBeNull();
});

const withHeaders = (...names: string[]) =>
  head({ lines: ['Host', 'a', ...names.flatMap((name) => [name, 'VALUE-NOT-SHOWN'])] });

test('the hint lists every name that allowHeaders would need', () => {
  const refused = refusedForHeaders(withHeaders('X-Forwarded-Prefix', 'X_Trace', 'x_trace'), verify('/notify'));
  expect(refused).toEqual({
    rule: 'route-headers',
    header: 'x-forwarded-prefix',
    hint: 'route /notify needs allowHeaders: [x-forwarded-prefix, x_trace], but only if the proxy in front sets it itself (docs/ingress.md)',
  });
  expect(refusedForHeaders(withHeaders('X_Trace'), verify('unmatched'))?.hint).toMatch(
    /^the path needs a route with allowHeaders: \[x_trace\],/,
  );
  const allowing = verify('/notify', { allowHeaders: ['x_trace'] });
  expect(refusedForHeaders(withHeaders('X_Trace'), allowing)).toBeNull();
  expect(refusedForHeaders(withHeaders('X_Trace', 'X_Other'), allowing)?.hint).toContain('[x_other]');
  expect(refusedForHeaders(withHeaders('X_Trace'), reject('/gone'))?.rule).toBe('route-headers');
});

test.each(['SCRIPT_NAME', 'Path_Info', 'Script.Name', 'Entrupy_Signature', 'Content_Type'])(
  '%s has the hint that nothing can allow it',
  (name) => {
    const refused = refusedForHeaders(withHeaders('X_Trace', name), forward('/open'));
    expect(refused).toMatchObject({ header: name.toLowerCase() });
    expect(refused?.hint).toMatch(`allowHeaders cannot allow ${name.toLowerCase()}: `);
    expect(whyNeverAllowed(name)).not.toBeNull();
  },
);

test('a flood of names gives a short hint', () => {
  const names = Array.from({ length: 500 }, (_, index) => `x_${index}_${'y'.repeat(100)}`);
  const hint = refusedForHeaders(withHeaders(...names), verify('/notify'))?.hint ?? '';
  expect(hint).toMatch(/y…\], but only if the proxy in front sets it itself/);
  expect(hint.length).toBeLessThan(400);
});
