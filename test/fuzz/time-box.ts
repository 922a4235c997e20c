// How long the fuzzers run, and from which seed. `FUZZ_SECONDS` is the time of each file, a fifth unless set. `FUZZ_SEED` is 1
// unless set, so that a failure points to the change and not to chance; `random` takes a new seed each time, as
// `npm run fuzz` does. A failure prints its seed and path, which fc.assert accepts as `{ seed, path }`.
import fc, { type Arbitrary, type IRawProperty, type Parameters, type RunDetails } from 'fast-check';

export const IS_LONG = process.env.FUZZ_SECONDS !== undefined;
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0.2);
const { FUZZ_SEED = '1' } = process.env;
export const SEED = FUZZ_SEED === 'random' ? Date.now() % 2 ** 31 : Number(FUZZ_SEED);

/** Any character, for strings: to make fast-check's `binary` takes more than a second. */
export const character = fc.nat(0x10f7ff).map((nth) => String.fromCodePoint(nth < 0xd800 ? nth : nth + 0x800));

/** An equal share of the file's time for each of its `properties`. */
function timeBox(properties: number) {
  return {
    seed: SEED,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: (SECONDS * 1_000) / properties,
    markInterruptAsFailure: false,
  } as const satisfies Parameters<unknown>;
}

interface Share {
  readonly properties?: number;
  readonly enough?: () => boolean;
}

/**
 * Checks inputs until its share of the file's time is over, and on a busy machine until there were some, and `enough`.
 * fast-check forgets the run that the end of its time interrupts: it is awaited here, since a run that hangs would pass otherwise.
 */
export async function fuzz<T>(
  inputs: Arbitrary<T>,
  check: (input: T) => Promise<void>,
  { properties = 1, enough = () => true }: Share = {},
): Promise<void> {
  let last = Promise.resolve();
  let tried = 0;
  const property = fc.asyncProperty(inputs, (input) => {
    tried++;
    last = check(input);
    return last;
  });
  let seed = SEED;
  do {
    const ran = await fc.check(property, { ...timeBox(properties), seed });
    throwFound(ran);
    await last.catch((cause) => {
      throw new Error(`The last run failed, with seed ${seed} after ${ran.numRuns} others`, { cause });
    });
    seed++;
  } while (tried === 0 || !enough());
}

/** As `fc.assert`, but on a busy machine it goes on until there was an input, and `fc.pre` has not left it out. */
export function assertSome<T>(property: IRawProperty<T, false>, properties: number, examples: T[] = []): void {
  for (let seed = SEED, runs = 0; runs === 0; seed++) {
    const ran = fc.check(property, { ...timeBox(properties), examples, seed });
    throwFound(ran);
    runs = ran.numRuns;
  }
}

/** Throws the counterexample that a check has found, if any. */
function throwFound<T>(ran: RunDetails<T>): void {
  if (ran.counterexample !== null) throw new Error(fc.defaultReportMessage(ran), { cause: ran.errorInstance });
}
