// Durations, sizes and dates as zod schemas: bounds, the phrase that names them, the right spelling of a wrong one.
// A phrase must never repeat what was found.
import * as z from 'zod/mini';
import { phrase, type Suggest, spelled, text } from './leaves.ts';
import {
  DURATION,
  formatDuration,
  formatSize,
  parseDate,
  parseDuration,
  parseSize,
  SIZE,
  suggestDate,
  suggestDuration,
  suggestSize,
} from './units.ts';

/** Milliseconds. `off: true` also takes 0, whatever the least. */
export function duration({ min, max, off = false }: { min: string; max: string; off?: boolean }) {
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
  const zero = off ? '0 or ' : '';
  const allowed = `${zero}a duration from ${min} to ${max}, such as 250ms, 5s, 2m or 24h`;
  const inRange = (value: number | null) => {
    if (value === null || (off && value === 0)) return value;
    return value >= least && value <= most ? value : null;
  };
  const suggest = (input: unknown) => {
    const value = inRange(parseDuration(suggestDuration(input) ?? ''));
    return value === null ? null : formatDuration(value);
  };
  const spellings = [z.literal(0), z.string().check(z.regex(DURATION, phrase(allowed, suggest)))] as const;
  return spelled<string | number, number>(z.union(spellings, phrase(allowed, suggest)), {
    allowed,
    parse: (input) => inRange(parseDuration(input)),
  });
}

function sizeSpelling({ min, max, also = '' }: { min: string; max: string; also?: string }) {
  const read = (bound: string) => parseSize(bound) ?? Number(bound);
  const [least, most] = [read(min), read(max)];
  const allowed = `${also}a size from ${min} to ${max}, such as 512, 64KiB or 1MiB`;
  const inRange = (value: number | null) => (value === null || value < least || value > most ? null : value);
  const suggest = (input: unknown) => {
    const spelling = suggestSize(input);
    if (spelling === null) return null;
    const value = inRange(parseSize(/^[0-9]+$/.test(spelling) ? Number(spelling) : spelling));
    return value === null ? null : formatSize(value);
  };
  return { allowed, suggest, parse: (input: string | number) => inRange(parseSize(input)) };
}

const sizeText = ({ allowed, suggest }: { allowed: string; suggest: Suggest }) =>
  z.string().check(z.regex(SIZE, phrase(allowed, suggest)));

/** Bytes. */
export function size(bounds: { min: string; max: string }) {
  const spelling = sizeSpelling(bounds);
  const spellings = [z.int(), sizeText(spelling)] as const;
  return spelled<string | number, number>(z.union(spellings, phrase(spelling.allowed, spelling.suggest)), {
    allowed: spelling.allowed,
    parse: spelling.parse,
  });
}

/** Bytes, or `auto`. */
export function sizeOrAuto(bounds: { min: string; max: string }) {
  const spelling = sizeSpelling({ ...bounds, also: '"auto" or ' });
  const spellings = [z.literal('auto'), z.int(), sizeText(spelling)] as const;
  return spelled<string | number, number | 'auto'>(z.union(spellings, phrase(spelling.allowed, spelling.suggest)), {
    allowed: spelling.allowed,
    parse: (input) => (input === 'auto' ? input : spelling.parse(input)),
  });
}

/** Epoch milliseconds. */
export function date() {
  const allowed = 'a date and time with its zone, such as 2026-11-01T00:00:00Z';
  return spelled(text(allowed, suggestDate), { allowed, parse: parseDate, suggest: suggestDate });
}

// Bounds that two keys share.
export const bodySize = () => size({ min: '1', max: '64MiB' });
export const responseTimeout = () => duration({ min: '10ms', max: '1h' });
export const idleTimeout = () => duration({ min: '10ms', max: '24h', off: true });
