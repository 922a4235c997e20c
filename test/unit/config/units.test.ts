// Durations, sizes and dates: exactly the documented forms.
import { describe, expect, test } from 'vitest';
import { DURATION, parseDate, SIZE } from '../../../src/config/units.ts';

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
});
