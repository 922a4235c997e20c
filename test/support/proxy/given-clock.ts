// A clock that a test gives to the proxy. Loaded before the program (`--import`), it adds to the time of day the
// milliseconds in the file that GIVEN_CLOCK names. Timers and performance.now() stay real.
import { readFileSync } from 'node:fs';

const file = process.env.GIVEN_CLOCK ?? '';
const RealDate = Date;
const now = (): number => RealDate.now() + Number(readFileSync(file, 'utf8'));

class GivenDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    super(...((given.length === 0 ? [now()] : given) as [number]));
  }

  static override now = now;
}

globalThis.Date = GivenDate as DateConstructor;
