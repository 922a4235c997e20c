// How a change of a source affects the loaded secrets, step by step: each step is one reading.
import { createHmac, createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { SecretSource } from '../../../src/config/config.ts';
import { Keyring } from '../../../src/core/keyring.ts';
import { verdictOf } from '../../../src/core/permit.ts';
import type { Route } from '../../../src/core/routes.ts';
import { lastMatch, recordMatch } from '../../../src/secrets/key-from-value.ts';
import { failuresOf, retirePrevious, rotate, usable } from '../../../src/secrets/rotation.ts';
import { type SecretMaterial, sourceName } from '../../../src/secrets/sources.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 10, 1);
const PLAIN = { overlap: null, notBefore: null, notAfter: null, allowShort: false };
const OVERLAP = { ...PLAIN, overlap: HOUR };
const BODY = Buffer.from('{"event":1}');

const current: SecretSource = { kind: 'file', id: 'current', file: '/run/current', ...OVERLAP };
const directory: SecretSource = { kind: 'directory', directory: '/etc/secrets', ...OVERLAP };
const plainDirectory: SecretSource = { ...directory, ...PLAIN };

const value = (name: string) => `value-of-${name}-0123456789-0123456789`;
const keyOf = (name: string) => createSecretKey(Buffer.from(value(name)));

/**
 * The content of a source: a value's name by id, or `bad: …` for an unusable one; a text: why the source gives nothing.
 */
type Content = Readonly<Record<string, string>> | string;

function reading(source: SecretSource, content: Content): readonly SecretMaterial[] {
  const { overlap, notBefore, notAfter } = source;
  const given = typeof content === 'string' ? { [sourceName(source)]: `bad: ${content}` } : content;
  return Object.entries(given).map(([id, name]): SecretMaterial => {
    const bad = name.startsWith('bad: ') ? name.slice(5) : null;
    const key = bad === null ? keyOf(name) : null;
    const kind = typeof content === 'string' ? 'source' : 'secret';
    const times = { overlap, notBefore, notAfter, adoptedAt: null, sameAs: null };
    return { kind, id, source: sourceName(source), key, problem: bad, warnings: [], ...times };
  });
}

/** A proxy's secrets over time; `contents` of the source are read one after the other, all at NOW. */
function history(source: SecretSource = current, ...contents: readonly Content[]) {
  let held: readonly SecretMaterial[] = [];
  let started = false;
  const read = (at: number, ...sources: readonly (readonly [SecretSource, Content])[]) => {
    const readings = sources.flatMap(([source, content]) => reading(source, content));
    held = rotate(started ? held : null, readings, at);
    started = true;
  };
  for (const content of contents) read(NOW, [source, content]);
  /** The outcome of a delivery signed with this value at that time, on a route that lists these ids. */
  const verdict = (name: string, at: number, listed: readonly string[] | null = null): string => {
    const keyring = new Keyring(usable(held));
    const route = { action: 'verify', secrets: listed } as Route;
    const digest = createHmac('sha256', value(name)).update(BODY).digest('base64');
    const result = verdictOf({ route, keyring, live: keyring.live(listed, at), digest, body: BODY });
    return 'permit' in result ? `by ${result.permit.secret?.id}` : result.refused;
  };
  return {
    read,
    verdict,
    retirePrevious: (at: number) => {
      held = retirePrevious(held, at);
    },
    expectVerdicts(at: number, expected: Readonly<Record<string, string>>) {
      const found = Object.keys(expected).map((name) => [name, verdict(name, at)]);
      expect(Object.fromEntries(found)).toEqual(expected);
    },
    failures: () => failuresOf(held),
    usable: () => usable(held),
    ids: () => held.map(({ id }) => id),
    one: (id: string) => {
      const found = held.filter((secret) => secret.id === id);
      expect(found.length, `secrets named ${id}`).toBe(1);
      return found[0];
    },
  };
}

const LATER = NOW + HOUR;

describe('a value that disappears or becomes unusable', () => {
  test.each(['bad: it does not exist', 'bad: it is empty'])('%s: the last good one is kept, with a warning', (bad) => {
    const secrets = history(current, { current: 'a' });
    secrets.read(LATER, [current, { current: bad }]);
    expect(secrets.verdict('a', LATER)).toBe('by current');
    expect(secrets.failures()).toEqual([
      `secret current (file /run/current): ${bad.slice(5)}; the last good value is still in use`,
    ]);
    expect(secrets.one('current')?.problem).toMatch(/the last good value is still in use$/);
  });

  test('and comes back changes nothing; one that comes back changed starts the overlap then', () => {
    const secrets = history(current, { current: 'a' }, { current: 'bad: it is empty' }, { current: 'a' });
    expect(secrets.failures()).toEqual([]);
    expect(secrets.ids()).toEqual(['current']);
    secrets.read(NOW, [current, { current: 'bad: it is empty' }]);
    secrets.read(LATER, [current, { current: 'b' }]);
    expect(secrets.one('current.previous')?.notAfter).toBe(LATER + HOUR);
  });

  test('while an older one overlaps: that overlap runs to its own end', () => {
    const secrets = history(current, { current: 'a' }, { current: 'b' }, { current: 'bad: it is empty' });
    secrets.expectVerdicts(NOW, { b: 'by current', a: 'by current.previous' });
  });

  test('in a file that the configuration moves: the id keeps its value', () => {
    const secrets = history(current, { current: 'a' });
    secrets.read(NOW, [{ ...current, file: '/run/new' }, { current: 'bad: it does not exist' }]);
    expect(secrets.verdict('a', NOW)).toBe('by current');
    expect(secrets.failures().length).toBe(1);
  });
});

describe('a directory', () => {
  test('a file removed from it is retired at once, without an overlap, and so is its replaced value', () => {
    const secrets = history(directory, { a: 'a', b: 'b' }, { a: 'a2', b: 'b' }, { b: 'b' });
    secrets.expectVerdicts(NOW, { a: 'signature_mismatch', a2: 'signature_mismatch', b: 'by b' });
    expect(secrets.ids()).toEqual(['b']);
    expect(secrets.failures()).toEqual([]);
  });

  test('a file in it that becomes unusable keeps its last good value; a new unusable one has none', () => {
    const secrets = history(directory, { a: 'a', b: 'b' }, { a: 'bad: it is empty', b: 'b', c: 'bad: it is empty' });
    expect(secrets.verdict('a', NOW)).toBe('by a');
    expect(secrets.one('c')?.key).toBe(null);
    expect(secrets.failures().length).toBe(2);
  });

  test.each(['it does not exist', 'it holds no secrets: there is no regular file in it'])(
    '%s: every good value is kept, overlaps included, with a warning',
    (problem) => {
      const rest = { b: 'b', c: 'bad: it is empty' };
      const secrets = history(directory, { a: 'a', ...rest }, { a: 'a2', ...rest });
      for (const _ of [1, 2, 3]) secrets.read(LATER - 1, [directory, problem]);
      expect(secrets.ids()).toEqual(['a', 'a.previous', 'b']);
      secrets.expectVerdicts(NOW, { a2: 'by a', a: 'by a.previous', b: 'by b' });
      expect(secrets.failures()).toEqual([
        `secret a (directory /etc/secrets): ${problem}; the last good value is still in use`,
        `secret b (directory /etc/secrets): ${problem}; the last good value is still in use`,
      ]);
      secrets.read(LATER - 1, [directory, { a: 'a2', b: 'b' }]);
      expect(secrets.failures()).toEqual([]);
      expect(secrets.one('a.previous')?.notAfter).toBe(NOW + HOUR);
    },
  );

  test('that is unreadable gets the validity of the current configuration', () => {
    const secrets = history(directory, { a: 'a' });
    secrets.read(NOW, [{ ...directory, notAfter: NOW + 5 }, 'it does not exist']);
    expect(secrets.verdict('a', NOW + 5)).toBe('expired_secret');
  });
});

describe('overlap', () => {
  test('starts at the change: the old value is valid that long as .previous, and not a millisecond longer', () => {
    const secrets = history(current, { current: 'a' });
    secrets.read(LATER, [current, { current: 'b' }]);
    expect(secrets.ids()).toEqual(['current', 'current.previous']);
    expect(secrets.verdict('b', LATER)).toBe('by current');
    expect(secrets.verdict('a', LATER)).toBe('by current.previous');
    expect(secrets.verdict('a', LATER + HOUR - 1)).toBe('by current.previous');
    expect(secrets.verdict('a', LATER + HOUR)).toBe('expired_secret');
  });

  test('reading the same value again, even after the overlap, does not restart it', () => {
    const secrets = history(current, { current: 'a' }, { current: 'b' });
    for (const at of [NOW + 1000, NOW + 2 * HOUR]) secrets.read(at, [current, { current: 'b' }]);
    expect(secrets.one('current.previous')?.notAfter).toBe(NOW + HOUR);
  });

  test.each([
    ['a second change ends the older one at once', 'c', { b: 'by current.previous', a: 'signature_mismatch' }],
    ['a rollback is a change: the two swap their roles', 'a', { b: 'by current.previous' }],
  ])('keeps one old value: %s', (_, last, others) => {
    const secrets = history();
    for (const [at, name] of ['a', 'b', last].entries()) secrets.read(NOW + at * MINUTE, [current, { current: name }]);
    secrets.expectVerdicts(NOW + 2 * MINUTE, { [last]: 'by current', ...others });
    expect(secrets.ids()).toEqual(['current', 'current.previous']);
  });

  test('never outlasts the notAfter of the secret, and keeps its notBefore; without it nothing overlaps', () => {
    const bounds = { notBefore: NOW - 5, notAfter: NOW + 10 };
    const secrets = history({ ...current, ...bounds }, { current: 'a' }, { current: 'b' });
    expect(secrets.one('current.previous')).toMatchObject(bounds);
    const plain = history({ ...current, ...PLAIN }, { current: 'a' }, { current: 'b' });
    expect(plain.verdict('a', NOW)).toBe('signature_mismatch');
  });

  test('removing it from the configuration ends current overlaps; adding it applies from the next change', () => {
    const secrets = history(directory, { a: 'a' }, { a: 'a2' });
    secrets.read(NOW, [plainDirectory, { a: 'a2' }]);
    expect(secrets.ids()).toEqual(['a']);
    secrets.read(NOW, [directory, { a: 'a2' }]);
    expect(secrets.ids()).toEqual(['a']);
    secrets.read(NOW + MINUTE, [directory, { a: 'a3' }]);
    expect(secrets.ids()).toEqual(['a', 'a.previous']);
  });

  test('a route that lists the id includes its .previous; one that lists another does not', () => {
    const secrets = history(directory, { current: 'a', other: 'o' }, { current: 'b', other: 'o' });
    expect(secrets.verdict('a', NOW, ['current'])).toBe('by current.previous');
    expect(secrets.verdict('a', NOW, ['other'])).toBe('signature_mismatch');
    expect(secrets.verdict('a', NOW + HOUR, ['current'])).toBe('expired_secret');
  });

  test('a file named x.previous is not a secret, and does not block one', () => {
    const secrets = history();
    const files = { 'current.previous': 'x', zcurrent: 'y' };
    secrets.read(NOW, [plainDirectory, files], [current, { current: 'a' }]);
    secrets.read(NOW, [plainDirectory, files], [current, { current: 'b' }]);
    secrets.read(NOW, [plainDirectory, files], [current, { current: 'b' }]);
    secrets.expectVerdicts(NOW, { x: 'signature_mismatch', a: 'by current.previous' });
    expect(secrets.failures()).toEqual([expect.stringContaining('ids that end in .previous are reserved')]);
  });
});

describe('a value that a reload took and that is replaced within a minute', () => {
  test('never becomes .previous: the one before it stays, to its own end', () => {
    const secrets = history(current, { current: 'a' });
    secrets.read(NOW + HOUR, [current, { current: 'half' }]);
    secrets.read(NOW + HOUR + MINUTE - 1, [current, { current: 'whole' }]);
    const now = NOW + HOUR + MINUTE - 1;
    secrets.expectVerdicts(now, { whole: 'by current', half: 'signature_mismatch', a: 'by current.previous' });
    expect(secrets.one('current.previous')?.notAfter).toBe(NOW + 2 * HOUR);
  });

  test('a minute later it does, and so does a value of the start at once', () => {
    const secrets = history(current, { current: 'a' }, { current: 'b' });
    expect(secrets.verdict('a', NOW)).toBe('by current.previous');
    secrets.read(NOW + MINUTE, [current, { current: 'c' }]);
    expect(secrets.verdict('b', NOW + MINUTE)).toBe('by current.previous');
  });

  test('is the half of a new file: nothing is before it', () => {
    const secrets = history(directory, { old: 'o' }, { new: 'half', old: 'o' });
    secrets.read(NOW + 1600, [directory, { new: 'whole', old: 'o' }]);
    expect(secrets.ids()).toEqual(['new', 'old']);
    expect(secrets.verdict('half', NOW + 1600)).toBe('signature_mismatch');
  });

  test('revives nothing that retire-previous has ended', () => {
    const secrets = history(current, { current: 'leaked' }, { current: 'half' });
    for (const now of [NOW + 1, NOW + HOUR]) secrets.retirePrevious(now);
    expect(secrets.one('current.previous')?.notAfter, 'an ended overlap is not extended').toBe(NOW + 1);
    secrets.read(NOW + 2, [current, { current: 'leaked' }]);
    secrets.read(NOW + 3, [current, { current: 'whole' }]);
    expect(secrets.verdict('leaked', NOW + 3)).toBe('expired_secret');
    // Not even if the clock is set back.
    expect(secrets.verdict('leaked', NOW - HOUR)).toBe('expired_secret');
  });

  test('is half a value however its file fails meanwhile, and whichever way the clock is set', () => {
    const secrets = history(current, { current: 'a' }, { current: 'half' });
    secrets.read(NOW + 1, [current, { current: 'bad: it is empty' }]);
    secrets.read(NOW + 2, [current, { current: 'whole' }]);
    expect(secrets.verdict('a', NOW + 2)).toBe('by current.previous');
    secrets.read(NOW - HOUR, [current, { current: 'later' }]);
    expect(secrets.verdict('whole', NOW - HOUR)).toBe('by current.previous');
  });
});

test('a secret’s last match moves on with its value, and stays where the value stays', () => {
  const secrets = history(current, { current: 'a' });
  const isMatched = () => secrets.usable().map(({ id, key }) => [id, lastMatch(key) > 0]);
  recordMatch(null, '/a');
  expect(isMatched()).toEqual([['current', false]]);
  recordMatch(secrets.usable()[0] ?? null, '/a');
  expect(lastMatch(secrets.one('current')?.key ?? null)).toBeCloseTo(Date.now() / 1000, -2);
  for (const [name, ...[first, ...others]] of [
    ['a', true],
    ['b', false, true],
    ['c', false, true],
    ['a', true, true], // put back
  ] as const) {
    secrets.read(LATER, [current, { current: name }]);
    const previous = others.map((is) => ['current.previous', is]);
    expect(isMatched(), name).toEqual([['current', first], ...previous]);
  }
  secrets.read(LATER, [directory, { first: 'd', second: 'd' }]);
  recordMatch(secrets.usable()[0] ?? null, '/a');
  secrets.read(LATER, [directory, { second: 'd' }]);
  expect(isMatched()).toEqual([['second', true]]);
  // However many there are.
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`secret-${at}`, `value ${at}`]));
  secrets.read(LATER, [directory, many]);
  for (const secret of secrets.usable()) recordMatch(secret, '/a');
  expect(isMatched()).toEqual(Object.keys(many).map((id) => [id, true]));
});

test('a source removed from the configuration takes its secrets and their replaced values with it', () => {
  const secrets = history();
  secrets.read(NOW, [current, { current: 'a' }], [directory, { d: 'd' }]);
  secrets.read(NOW, [current, { current: 'b' }], [directory, { d: 'd' }]);
  secrets.read(NOW, [directory, { d: 'd' }]);
  expect(secrets.ids()).toEqual(['d']);
  expect(secrets.failures()).toEqual([]);
});
