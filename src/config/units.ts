// Durations, sizes and dates as people write them: read, written back, and the right spelling of a wrong one.
// It must never guess: what is not exactly the documented spelling is refused, with a suggestion.

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
export const DURATION = /^(0|[1-9][0-9]{0,8})(ms|s|m|h)$/;

/** Milliseconds of `250ms`, `5s`, `2m`, `24h` or a bare `0`; null for anything else. */
export function parseDuration(input: string | number): number | null {
  if (input === 0 || input === '0') return 0;
  const match = DURATION.exec(String(input));
  return match === null ? null : Number(match[1]) * (MS_PER_UNIT[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest exact spelling: 90000 is `90s`, 7200000 is `2h`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  const unit = ['h', 'm', 's'].find((name) => ms % (MS_PER_UNIT[name] ?? 1) === 0) ?? 'ms';
  return `${ms / (MS_PER_UNIT[unit] ?? 1)}${unit}`;
}

const LOOSE_DURATION: readonly (readonly [RegExp, number])[] = [
  [/^(?:ms|msecs?|millis?|milliseconds?)$/, 1],
  [/^(?:s|secs?|seconds?)$/, 1000],
  [/^(?:m|mins?|minutes?)$/, 60_000],
  [/^(?:h|hrs?|hours?)$/, 3_600_000],
  [/^(?:d|days?)$/, 86_400_000],
  [/^(?:w|weeks?)$/, 604_800_000],
];

/** What was probably meant: `1.5s` is `1500ms`, `1m30s` is `90s`, `7d` is `168h`, `5` is `5s`. */
export function suggestDuration(input: unknown): string | null {
  if (typeof input === 'number') return DURATION.test(`${input}s`) ? `${input}s` : null;
  if (typeof input !== 'string') return null;
  const text = input.toLowerCase().replace(/[\s_]+/g, '');
  if (/^[0-9]{1,6}$/.test(text)) return `${Number(text)}s`;
  if (!/^(?:[0-9]{1,9}(?:\.[0-9]{1,3})?[a-z]{1,12}){1,4}$/.test(text)) return null;
  const total = [...text.matchAll(/([0-9.]+)([a-z]+)/g)].reduce((sum, [, amount, unit]) => {
    const known = LOOSE_DURATION.find(([pattern]) => pattern.test(unit ?? ''));
    return sum + Math.round(Number(amount) * (known?.[1] ?? Number.NaN));
  }, 0);
  const spelling = formatDuration(total);
  return DURATION.test(spelling) ? spelling : null;
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
export const SIZE = /^([1-9][0-9]{0,11})(KiB|MiB|GiB)$/;

/** Bytes of `512`, `64KiB`, `1MiB`, `2GiB`; null for anything else. */
export function parseSize(input: string | number): number | null {
  if (typeof input === 'number') return Number.isSafeInteger(input) && input >= 0 ? input : null;
  const match = SIZE.exec(input);
  return match === null ? null : Number(match[1]) * (BYTES_PER_UNIT[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest exact spelling: 65536 is `64KiB`, 1000 is `1000`. */
export function formatSize(bytes: number): string {
  const unit = ['GiB', 'MiB', 'KiB'].find((name) => bytes > 0 && bytes % (BYTES_PER_UNIT[name] ?? 1) === 0);
  return unit === undefined ? String(bytes) : `${bytes / (BYTES_PER_UNIT[unit] ?? 1)}${unit}`;
}

/** What was probably meant: `64k`, `64KB` and `64 Ki` are `64KiB`, `1.5M` is `1536KiB`. */
export function suggestSize(input: unknown): string | null {
  if (typeof input !== 'string') return null;
  const match = /^([0-9]{1,12}(?:\.[0-9]{1,3})?)([kmg]?)(?:i?b|i|bytes?)?$/.exec(
    input.toLowerCase().replace(/[\s_]+/g, ''),
  );
  if (match === null) return null;
  const factor = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[match[2] ?? ''] ?? 1;
  const bytes = Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? formatSize(bytes) : null;
}

const DATE = /^([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?(?:Z|[+-][0-9]{2}:[0-9]{2})$/;

/** Epoch milliseconds of an RFC 3339 date and time with its zone; null for anything else, also 30 February. */
export function parseDate(text: string): number | null {
  const day = DATE.exec(text)?.[1];
  if (day === undefined) return null;
  const time = Date.parse(text);
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date.parse takes 30 February for 1 March in some engines: the day must come back as it went in.
  if (Number.isNaN(time) || Number.isNaN(midnight)) return null;
  return new Date(midnight).toISOString().startsWith(day) ? time : null;
}

/** What was probably meant: `2026-11-01` and `2026-11-01 00:00` are `2026-11-01T00:00:00Z`. */
export function suggestDate(input: unknown): string | null {
  const match =
    typeof input === 'string'
      ? /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]+([0-9]{2}:[0-9]{2})(:[0-9]{2})?)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?$/i.exec(
          input.trim(),
        )
      : null;
  if (match === null) return null;
  const [, day = '', time = '00:00', seconds = ':00', zone = 'Z'] = match;
  const spelling = `${day}T${time}${seconds}${zone.toUpperCase().replace(/^([+-][0-9]{2})([0-9]{2})$/, '$1:$2')}`;
  return parseDate(spelling) === null ? null : spelling;
}
