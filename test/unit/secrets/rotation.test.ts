// How a change of a source affects the loaded secrets, step by step: each step is one reading.
import { createHmac, createSecretKey, KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { SecretSource } from '../../../src/config/config.ts';
import { Keyring, type Secret } from '../../../src/core/keyring.ts';
import { judge } from '../../../src/core/permit.ts';
import type { Route } from '../../../src/core/routes.ts';
import { stateOf } from '../../../src/core/secret-validity.ts';
import { changedIds, failuresOf, isPreviousValue, retirePrevious, rotate } from '../../../src/secrets/rotation.ts';
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
    return {
      kind: typeof content === 'string' ? 'directory' : 'secret',
      id,
      source: sourceName(source),
      key,
      problem: bad,
      warnings: [],
      overlap,
      notBefore,
      notAfter,
      adoptedAt: null,
    };
  });
}

/** A proxy's secrets over time. */
function history() {
  let held: readonly SecretMaterial[] = [];
  let started = false;
  return {
    read(at: number, ...sources: readonly (readonly [SecretSource, Content])[]) {
      const readings = sources.flatMap(([source, content]) => reading(source, content));
      held = rotate(started ? held : null, readings, at);
      started = true;
    },
    retirePrevious: (at: number) => {
      held = retirePrevious(held, at);
    },
    /** The outcome of a delivery signed with this value at that time, on a route that lists these ids. */
    verdict: (name: string, at: number, listed: readonly string[] | null = null) => verdict(held, { name, at, listed }),
    failures: () => failuresOf(held),
    ids: () => held.map(({ id }) => id),
    one: (id: string) => {
      const found = held.filter((secret) => secret.id === id);
      expect(found.length, `secrets named ${id}`).toBe(1);
      return found[0];
    },
  };
}

function verdict(
  held: readonly SecretMaterial[],
  { name, at, listed }: { name: string; at: number; listed: readonly string[] | null },
): string {
  const secrets = held.filter((one): one is SecretMaterial & Secret => one.key !== null);
  const keyring = new Keyring(secrets);
  const route = { action: 'verify', secrets: listed } as Route;
  const digest = createHmac('sha256', value(name)).update(BODY).digest('base64');
  const result = judge({ route, keyring, live: keyring.live(listed, at), digest, body: BODY });
  return 'permit' in result ? `by ${result.permit.secret}` : result.refused;
}

const LATER = NOW + HOUR;

describe('a value that disappears or becomes unusable', () => {
  test.each(['bad: it does not exist', 'bad: it is empty'])('%s: the last good one is kept, with a warning', (bad) => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(LATER, [current, { current: bad }]);
    expect(secrets.verdict('a', LATER)).toBe('by current');
    expect(secrets.failures()).toEqual([
      `secret current (file /run/current): ${bad.slice(5)}; the last good value is still in use`,
    ]);
    expect(secrets.one('current')?.problem).toMatch(/the last good value is still in use$/);
  });

  test('and comes back changes nothing; one that comes back changed starts the overlap then', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'bad: it is empty' }]);
    secrets.read(NOW, [current, { current: 'a' }]);
    expect(secrets.failures()).toEqual([]);
    expect(secrets.ids()).toEqual(['current']);
    secrets.read(NOW, [current, { current: 'bad: it is empty' }]);
    secrets.read(LATER, [current, { current: 'b' }]);
    expect(secrets.one('current.previous')?.notAfter).toBe(LATER + HOUR);
  });

  test('while an older one overlaps: that overlap runs to its own end', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'b' }]);
    secrets.read(NOW, [current, { current: 'bad: it is empty' }]);
    expect(secrets.verdict('b', NOW)).toBe('by current');
    expect(secrets.verdict('a', NOW)).toBe('by current.previous');
  });

  test('that was never good has no key, and is reported too', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'bad: it is empty' }]);
    expect(secrets.one('current')?.key).toBe(null);
    expect(secrets.failures()).toEqual(['secret current (file /run/current): it is empty']);
  });

  test('in a file that the configuration moves: the id keeps its value', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [{ ...current, file: '/run/new' }, { current: 'bad: it does not exist' }]);
    expect(secrets.verdict('a', NOW)).toBe('by current');
    expect(secrets.failures().length).toBe(1);
  });
});

describe('a directory', () => {
  test('a file removed from it is retired at once, without an overlap', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a', b: 'b' }]);
    secrets.read(NOW, [directory, { b: 'b' }]);
    expect(secrets.verdict('a', NOW)).toBe('signature_mismatch');
    expect(secrets.verdict('b', NOW)).toBe('by b');
    expect(secrets.failures()).toEqual([]);
  });

  test('a file removed from it takes its replaced value with it', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a', b: 'b' }]);
    secrets.read(NOW, [directory, { a: 'a2', b: 'b' }]);
    expect(secrets.ids()).toEqual(['a', 'a.previous', 'b']);
    secrets.read(NOW, [directory, { b: 'b' }]);
    expect(secrets.ids()).toEqual(['b']);
  });

  test('a file in it that becomes unusable keeps its last good value; a new unusable one has none', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a', b: 'b' }]);
    secrets.read(NOW, [directory, { a: 'bad: it is empty', b: 'b', c: 'bad: it is empty' }]);
    expect(secrets.verdict('a', NOW)).toBe('by a');
    expect(secrets.one('c')?.key).toBe(null);
    expect(secrets.failures().length).toBe(2);
  });

  test.each(['it does not exist', 'it holds no secrets: there is no regular file in it'])(
    '%s: every good value is kept, overlaps included, with a warning',
    (problem) => {
      const secrets = history();
      secrets.read(NOW, [directory, { a: 'a', b: 'b', c: 'bad: it is empty' }]);
      secrets.read(NOW, [directory, { a: 'a2', b: 'b', c: 'bad: it is empty' }]);
      for (const _ of [1, 2, 3]) secrets.read(LATER - 1, [directory, problem]);
      expect(secrets.ids()).toEqual(['a', 'a.previous', 'b']);
      expect([secrets.verdict('a2', NOW), secrets.verdict('a', NOW), secrets.verdict('b', NOW)]).toEqual([
        'by a',
        'by a.previous',
        'by b',
      ]);
      expect(secrets.failures()).toEqual([
        `secret a (directory /etc/secrets): the directory: ${problem}; the last good value is still in use`,
        `secret b (directory /etc/secrets): the directory: ${problem}; the last good value is still in use`,
      ]);
      secrets.read(LATER - 1, [directory, { a: 'a2', b: 'b' }]);
      expect(secrets.failures()).toEqual([]);
      expect(secrets.one('a.previous')?.notAfter).toBe(NOW + HOUR);
    },
  );

  test('that was never readable is one entry with its problem', () => {
    const secrets = history();
    secrets.read(NOW, [directory, 'it does not exist']);
    expect(secrets.ids()).toEqual(['directory /etc/secrets']);
    expect(secrets.failures()).toEqual(['directory /etc/secrets: it does not exist']);
  });

  test('whose path ends in .previous says why it cannot be used', () => {
    const secrets = history();
    secrets.read(NOW, [{ ...directory, directory: '/etc/secrets.previous' }, 'it does not exist']);
    expect(secrets.failures()).toEqual(['directory /etc/secrets.previous: it does not exist']);
  });

  test('that is unreadable gets the validity of the current configuration', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a' }]);
    secrets.read(NOW, [{ ...directory, notAfter: NOW + 5 }, 'it does not exist']);
    expect(secrets.verdict('a', NOW + 5)).toBe('expired_secret');
  });

  test('two ids with one value: the warning appears once, however often the directory is unreadable', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a', b: 'a' }]);
    for (const _ of [1, 2, 3]) secrets.read(NOW, [directory, 'it does not exist']);
    expect(secrets.one('b')?.warnings).toEqual(['it has the same value as a, under which its matches are counted']);
  });
});

describe('overlap', () => {
  test('starts at the change: the old value is valid that long as .previous, and not a millisecond longer', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(LATER, [current, { current: 'b' }]);
    expect(secrets.ids()).toEqual(['current', 'current.previous']);
    expect(secrets.verdict('b', LATER)).toBe('by current');
    expect(secrets.verdict('a', LATER)).toBe('by current.previous');
    expect(secrets.verdict('a', LATER + HOUR - 1)).toBe('by current.previous');
    expect(secrets.verdict('a', LATER + HOUR)).toBe('expired_secret');
  });

  test('reading the same value again, even after the overlap, does not restart it', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'b' }]);
    secrets.read(NOW + 1000, [current, { current: 'b' }]);
    expect(secrets.one('current.previous')?.notAfter).toBe(NOW + HOUR);
    secrets.read(NOW + 2 * HOUR, [current, { current: 'b' }]);
    expect(secrets.verdict('a', NOW + 2 * HOUR)).toBe('expired_secret');
  });

  test('keeps one old value: a second change ends the older one at once', () => {
    const secrets = history();
    for (const [at, name] of ['a', 'b', 'c'].entries()) secrets.read(NOW + at * MINUTE, [current, { current: name }]);
    expect(secrets.verdict('c', NOW + 2 * MINUTE)).toBe('by current');
    expect(secrets.verdict('b', NOW + 2 * MINUTE)).toBe('by current.previous');
    expect(secrets.verdict('a', NOW + 2 * MINUTE)).toBe('signature_mismatch');
  });

  test('a rollback is a change: both values are valid, with their roles swapped', () => {
    const secrets = history();
    for (const [at, name] of ['a', 'b', 'a'].entries()) secrets.read(NOW + at * MINUTE, [current, { current: name }]);
    expect(secrets.verdict('a', NOW + 2 * MINUTE)).toBe('by current');
    expect(secrets.verdict('b', NOW + 2 * MINUTE)).toBe('by current.previous');
    expect(secrets.ids()).toEqual(['current', 'current.previous']);
  });

  test('never outlasts the notAfter of the secret, and keeps its notBefore', () => {
    const source = { ...current, notBefore: NOW - 5, notAfter: NOW + 10 };
    const secrets = history();
    secrets.read(NOW, [source, { current: 'a' }]);
    secrets.read(NOW, [source, { current: 'b' }]);
    expect(secrets.one('current.previous')).toMatchObject({ notBefore: NOW - 5, notAfter: NOW + 10 });
  });

  test('without it a changed value ends the old one at once', () => {
    const secrets = history();
    secrets.read(NOW, [{ ...current, ...PLAIN }, { current: 'a' }]);
    secrets.read(NOW, [{ ...current, ...PLAIN }, { current: 'b' }]);
    expect(secrets.verdict('a', NOW)).toBe('signature_mismatch');
  });

  test('removing it from the configuration ends current overlaps; adding it applies from the next change', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a' }]);
    secrets.read(NOW, [directory, { a: 'a2' }]);
    secrets.read(NOW, [plainDirectory, { a: 'a2' }]);
    expect(secrets.ids()).toEqual(['a']);
    secrets.read(NOW, [directory, { a: 'a2' }]);
    expect(secrets.ids()).toEqual(['a']);
    secrets.read(NOW + MINUTE, [directory, { a: 'a3' }]);
    expect(secrets.ids()).toEqual(['a', 'a.previous']);
  });

  test('each file of a directory has its own', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { a: 'a', b: 'b' }]);
    secrets.read(NOW, [directory, { a: 'a2', b: 'b' }]);
    secrets.read(NOW + 5, [directory, { a: 'a2', b: 'b2' }]);
    expect(secrets.one('a.previous')?.notAfter).toBe(NOW + HOUR);
    expect(secrets.one('b.previous')?.notAfter).toBe(NOW + 5 + HOUR);
  });

  test('is only in memory: a restart forgets the old value', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'b' }]);
    expect(secrets.verdict('a', NOW)).toBe('signature_mismatch');
  });

  test('a route that lists the id includes its .previous; one that lists another does not', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { current: 'a', other: 'o' }]);
    secrets.read(NOW, [directory, { current: 'b', other: 'o' }]);
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
    expect(secrets.verdict('x', NOW)).toBe('signature_mismatch');
    expect(secrets.verdict('a', NOW)).toBe('by current.previous');
    expect(secrets.failures()).toEqual([expect.stringContaining('ids that end in .previous are reserved')]);
  });
});

describe('a value that a reload took and that is replaced within a minute', () => {
  test('never becomes .previous: the one before it stays, to its own end', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW + HOUR, [current, { current: 'half' }]);
    secrets.read(NOW + HOUR + MINUTE - 1, [current, { current: 'whole' }]);
    const now = NOW + HOUR + MINUTE - 1;
    expect(secrets.verdict('whole', now)).toBe('by current');
    expect(secrets.verdict('half', now)).toBe('signature_mismatch');
    expect(secrets.verdict('a', now)).toBe('by current.previous');
    expect(secrets.one('current.previous')?.notAfter).toBe(NOW + 2 * HOUR);
  });

  test('a minute later it does, and so does a value of the start at once', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'b' }]);
    expect(secrets.verdict('a', NOW)).toBe('by current.previous');
    secrets.read(NOW + MINUTE, [current, { current: 'c' }]);
    expect(secrets.verdict('b', NOW + MINUTE)).toBe('by current.previous');
  });

  test('is the half of a new file: nothing is before it', () => {
    const secrets = history();
    secrets.read(NOW, [directory, { old: 'o' }]);
    secrets.read(NOW, [directory, { new: 'half', old: 'o' }]);
    secrets.read(NOW + 1600, [directory, { new: 'whole', old: 'o' }]);
    expect(secrets.ids()).toEqual(['new', 'old']);
    expect(secrets.verdict('half', NOW + 1600)).toBe('signature_mismatch');
  });

  test('that retire-previous has ended stays so, even if the clock is set back', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'leaked' }]);
    secrets.read(NOW, [current, { current: 'new' }]);
    secrets.retirePrevious(NOW + MINUTE);
    expect(secrets.verdict('leaked', NOW - HOUR)).toBe('expired_secret');
    expect(secrets.verdict('new', NOW - HOUR)).toBe('by current');
  });

  test('revives nothing that retire-previous has ended', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'leaked' }]);
    secrets.read(NOW, [current, { current: 'half' }]);
    secrets.retirePrevious(NOW + 1);
    secrets.read(NOW + 2, [current, { current: 'leaked' }]);
    secrets.read(NOW + 3, [current, { current: 'whole' }]);
    expect(secrets.verdict('leaked', NOW + 3)).toBe('expired_secret');
  });

  test('is half a value however its file fails meanwhile, and whichever way the clock is set', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'half' }]);
    secrets.read(NOW + 1, [current, { current: 'bad: it is empty' }]);
    secrets.read(NOW + 2, [current, { current: 'whole' }]);
    expect(secrets.verdict('a', NOW + 2)).toBe('by current.previous');
    secrets.read(NOW - HOUR, [current, { current: 'later' }]);
    expect(secrets.verdict('whole', NOW - HOUR)).toBe('by current.previous');
  });
});

describe('the end of a secret', () => {
  test('a source removed from the configuration takes its secrets and their replaced values with it', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }], [directory, { d: 'd' }]);
    secrets.read(NOW, [current, { current: 'b' }], [directory, { d: 'd' }]);
    secrets.read(NOW, [directory, { d: 'd' }]);
    expect(secrets.ids()).toEqual(['d']);
    expect(secrets.failures()).toEqual([]);
  });

  test('retire-previous ends every overlap at once, and the value is later reported as expired', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }], [directory, { d: 'd' }]);
    secrets.read(NOW, [current, { current: 'b' }], [directory, { d: 'd2' }]);
    secrets.retirePrevious(NOW + 7);
    expect(secrets.verdict('a', NOW + 7)).toBe('expired_secret');
    expect(secrets.verdict('d', NOW + 7)).toBe('expired_secret');
    expect(secrets.verdict('b', NOW + 7)).toBe('by current');
    secrets.read(NOW + 8, [current, { current: 'b' }], [directory, { d: 'd2' }]);
    expect(secrets.verdict('a', NOW + 8)).toBe('expired_secret');
  });

  test('retire-previous never extends an ended overlap', () => {
    const secrets = history();
    secrets.read(NOW, [current, { current: 'a' }]);
    secrets.read(NOW, [current, { current: 'b' }]);
    secrets.retirePrevious(NOW + 5 * HOUR);
    expect(secrets.one('current.previous')?.notAfter).toBe(NOW + HOUR);
  });

  test('notBefore and notAfter of a source apply to its secrets', () => {
    const secrets = history();
    secrets.read(NOW, [{ ...current, notBefore: NOW, notAfter: NOW + 10 }, { current: 'a' }]);
    const states = [NOW - 1, NOW, NOW + 9, NOW + 10].map((at) => stateOf(secrets.one('current') ?? never(), at));
    expect(states).toEqual(['not_yet', 'live', 'live', 'expired']);
  });
});

test('no message holds a value', () => {
  const secrets = history();
  secrets.read(NOW, [current, { current: 'a' }], [directory, { d: 'd' }]);
  secrets.read(NOW, [current, { current: 'bad: it is empty' }], [directory, 'it does not exist']);
  expect(JSON.stringify([secrets.failures(), secrets.one('d')])).not.toContain('value-of');
  expect(isPreviousValue(secrets.one('current') ?? never())).toBe(false);
  expect(secrets.one('current')?.key).toBeInstanceOf(KeyObject);
});

function never(): never {
  throw new Error('there is no such secret');
}

test('a change is another value or a first value, of a replaced secret too, never a removed one', () => {
  const held = (content: Content) => rotate(null, reading(plainDirectory, content), NOW);
  const before = held({ same: 'a', other: 'b', gone: 'c', mended: 'bad: empty' });
  const after = held({ same: 'a', other: 'B', mended: 'd', added: 'e', broken: 'bad: empty' });
  expect(changedIds(before, after)).toEqual(['other', 'mended', 'added']);
  expect(changedIds(after, after)).toEqual([]);
  const first = rotate(null, reading(current, { current: 'a' }), NOW);
  const second = rotate(first, reading(current, { current: 'b' }), NOW);
  expect(second.map(({ id }) => id)).toEqual(['current', 'current.previous']);
  expect(changedIds(first, second)).toEqual(['current', 'current.previous']);
});
