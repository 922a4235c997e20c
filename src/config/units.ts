// Durations and sizes as people write them. Only the documented spelling is accepted.

type Units = Readonly<Record<string, number>>;

/** A whole number with its unit. `bare`: the largest number that needs no unit. */
function quantity(name: string, examples: string, { units, bare }: { units: Units; bare: number }) {
  const pattern = new RegExp(`^(0|[1-9][0-9]{0,8})(${Object.keys(units).join('|')})$`);
  return {
    name,
    examples,
    pattern,
    /** Null for every spelling but the documented one. */
    parse(input: string | number): number | null {
      const given = input === '0' ? 0 : input;
      if (typeof given === 'number') return Number.isSafeInteger(given) && given >= 0 && given <= bare ? given : null;
      const [, amount, unit = ''] = pattern.exec(given) ?? [];
      return amount === undefined ? null : Number(amount) * (units[unit] ?? Number.NaN);
    },
    /** The shortest exact spelling: 90000 ms is `90s`, 7200000 ms `2h`; 65536 bytes is `64KiB`, 1000 bytes `1000`. */
    format(value: number): string {
      const [unit, factor] = Object.entries(units).findLast((entry) => value > 0 && value % entry[1] === 0) ?? ['', 1];
      return `${value / factor}${unit}`;
    },
  };
}

export type Quantity = ReturnType<typeof quantity>;

const MILLISECONDS = { units: { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }, bare: 0 };
export const DURATION = quantity('a duration', '250ms, 5s, 2m or 24h', MILLISECONDS);

const BYTES = { units: { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }, bare: Number.MAX_SAFE_INTEGER };
export const SIZE = quantity('a size', '512, 64KiB or 1MiB', BYTES);
