// Durations and sizes as people write them, and JSON in such words. Only the documented spelling is accepted.

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

// --- JSON in words: a line for each key that has a value

const SIZES = /^max(?:Body|Header|Bytes)$|^bufferedBytes$/;
const COUNTS = /^(?:connections|maxEntries)$/;
const DATES = /^(?:reportUntil|notBefore|notAfter)$/;

/** Each key and its value. A key within a mapping has the name of the mapping before its own: `upstream.url`. */
export function labelled(data: object, prefix = ''): readonly (readonly [label: string, text: string])[] {
  return Object.entries(data).flatMap(([key, value]: [string, unknown]) => {
    if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return [];
    if (typeof value === 'object' && !Array.isArray(value)) return labelled(value, `${prefix}${key}.`);
    return [[`${prefix}${key}`, valueText(key, value)] as const];
  });
}

function valueText(key: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value !== 'number' || COUNTS.test(key)) return String(value);
  if (DATES.test(key)) return new Date(value).toISOString().replace('.000Z', 'Z');
  return (SIZES.test(key) ? SIZE : DURATION).format(value);
}
