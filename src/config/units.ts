// Durations, sizes and dates as people write them. Every spelling but the documented one is refused.

type Units = Readonly<Record<string, number>>;

const MILLISECONDS: Units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTES: Units = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Milliseconds: `250ms`, `5s`, `2m`, `24h` or a bare `0`. */
export const DURATION = {
  name: 'a duration',
  examples: '250ms, 5s, 2m or 24h',
  pattern: /^(0|[1-9][0-9]{0,8})(ms|s|m|h)$/,
  /** Null for every spelling but the documented one. */
  parse(input: string | number): number | null {
    return input === 0 || input === '0' ? 0 : product(DURATION.pattern.exec(String(input)), MILLISECONDS);
  },
  format: (ms: number) => inLargestUnit(ms, MILLISECONDS),
};

export type Quantity = typeof DURATION;

/** Bytes: `512`, `64KiB`, `1MiB`, `2GiB`. */
export const SIZE: Quantity = {
  name: 'a size',
  examples: '512, 64KiB or 1MiB',
  pattern: /^([1-9][0-9]{0,11})(KiB|MiB|GiB)$/,
  parse(input) {
    if (typeof input === 'string') return product(SIZE.pattern.exec(input), BYTES);
    return Number.isSafeInteger(input) && input >= 0 ? input : null;
  },
  format: (bytes) => inLargestUnit(bytes, BYTES),
};

function product(match: RegExpExecArray | null, units: Units): number | null {
  return match === null ? null : Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest exact spelling: 90000 ms is `90s`, 7200000 ms is `2h`; 65536 bytes is `64KiB`, 1000 bytes `1000`. */
function inLargestUnit(value: number, units: Units): string {
  const [unit, factor] = Object.entries(units).findLast((entry) => value > 0 && value % entry[1] === 0) ?? ['', 1];
  return `${value / factor}${unit}`;
}

const DATE = /^([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?(?:Z|[+-][0-9]{2}:[0-9]{2})$/;

/** Epoch milliseconds of an RFC 3339 date and time with its zone; null for anything else, even 30 February. */
export function parseDate(text: string): number | null {
  const [, day = ''] = DATE.exec(text) ?? [];
  const time = Date.parse(text);
  // Date.parse reads 30 February as 2 March, so the day must survive the round trip. An invalid date's JSON is null.
  const isDay = new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day) ?? false;
  return isDay && !Number.isNaN(time) ? time : null;
}
