// Durations and sizes: exactly the documented forms.
import { describe, expect, test } from 'vitest';
import { DURATION, SIZE } from '../../../src/config/units.ts';

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
