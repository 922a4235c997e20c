// Durations, sizes and dates: the exact forms, and the suggestion for a wrong one.
import { describe, expect, test } from 'vitest';
import { DURATION, guessDate, parseDate, SIZE } from '../../../src/config/units.ts';

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['5s', 5000],
    ['2m', 120_000],
    ['24h', 86_400_000],
    ['0', 0],
    [0, 0],
    ['0s', 0],
  ])('%s', (text, ms) => expect(DURATION.parse(text)).toBe(ms));

  test.each(['', '5', '05s', '-5s', '1.5s', '5S', '5 s', '5sec', '1m30s', '1d', 's', ' 5s', '5s\n', '9999999999s', 5])(
    'not %j',
    (text) => expect(DURATION.parse(text)).toBeNull(),
  );

  test.each([
    [5, '5s'],
    ['5', '5s'],
    ['5 S', '5s'],
    ['5 seconds', '5s'],
    ['1.5s', '1500ms'],
    ['1m30s', '90s'],
    ['60s', '1m'],
    ['7d', '168h'],
    ['2 weeks', '336h'],
    ['0.1ms', '0'],
  ])('%j suggests %s', (input, meant) => {
    const guess = DURATION.guess(input);
    if (meant === '0') expect(guess).toBeNull();
    else expect(DURATION.format(guess ?? 0)).toBe(meant);
  });

  test.each(['soon', '5 parsecs', '', '1..5s', 'sss', -1])('%j has no suggestion', (input) =>
    expect(DURATION.guess(input)).toBeNull(),
  );

  test.each([0, 1, 250, 1000, 90_000, 7_200_000, 86_400_000])('%i round-trips', (ms) =>
    expect(DURATION.parse(DURATION.format(ms))).toBe(ms),
  );
});

describe('sizes', () => {
  test.each([
    [512, 512],
    [0, 0],
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
  ])('%s', (text, bytes) => expect(SIZE.parse(text)).toBe(bytes));

  test.each(['', '64', '64k', '64KB', '1.5MiB', '064KiB', '64 KiB', '64kib', '-1KiB', -1, 1.5, 2 ** 60])(
    'not %j',
    (text) => expect(SIZE.parse(text)).toBeNull(),
  );

  test.each([
    ['64k', '64KiB'],
    ['64KB', '64KiB'],
    ['64 Ki', '64KiB'],
    ['1.5M', '1536KiB'],
    ['1gb', '1GiB'],
    ['512 bytes', '512'],
    ['2048', '2KiB'],
  ])('%s suggests %s', (input, meant) => expect(SIZE.format(SIZE.guess(input) ?? 0)).toBe(meant));

  test.each(['much', '', '1TB'])('%j has no suggestion', (input) => expect(SIZE.guess(input)).toBeNull());

  test.each([0, 1, 1000, 1024, 65_536, 1_048_576, 3 * 1024 ** 3])('%i round-trips', (bytes) => {
    const text = SIZE.format(bytes);
    expect(SIZE.parse(/^[0-9]+$/.test(text) ? Number(text) : text)).toBe(bytes);
  });
});

describe('dates', () => {
  test.each([
    ['2026-11-01T00:00:00Z', Date.UTC(2026, 10, 1)],
    ['2026-11-01T02:30:00.5+02:30', Date.UTC(2026, 10, 1, 0, 0, 0, 500)],
    ['2028-02-29T23:59:59Z', Date.UTC(2028, 1, 29, 23, 59, 59)],
  ])('%s', (text, ms) => expect(parseDate(text)).toBe(ms));

  test.each([
    '2026-11-01',
    '2026-11-01T00:00:00',
    '2026-11-01 00:00:00Z',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-01T25:00:00Z',
    '2026-11-01T00:00:00+99:99',
    'tomorrow',
    '',
  ])('not %j', (text) => expect(parseDate(text)).toBeNull());

  test.each([
    ['2026-11-01', '2026-11-01T00:00:00Z'],
    ['2026-11-01 12:30', '2026-11-01T12:30:00Z'],
    ['2026-11-01T12:30:15', '2026-11-01T12:30:15Z'],
    ['2026-11-01 12:30:15 +0200', '2026-11-01T12:30:15+02:00'],
  ])('%s suggests %s', (input, meant) => expect(guessDate(input)).toBe(meant));

  test.each(['2026-02-30', '01.11.2026', 20261101])('%j has no suggestion', (input) =>
    expect(guessDate(input)).toBeNull(),
  );
});
