// A clock that a test gives to the proxy. Loaded before the program (`--import`), it adds to the time of day the
// milliseconds in the file that GIVEN_CLOCK names. Timers stay real, and so does performance.now(), but with
// GIVEN_MONOTONIC: then it moves on with the time of day.
import { readFileSync } from 'node:fs';

const file = process.env.GIVEN_CLOCK ?? '';
const RealDate = Date;
const given = () => Number(readFileSync(file, 'utf8'));
const now = (): number => RealDate.now() + given();

class GivenDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    super(...((given.length === 0 ? [now()] : given) as [number]));
  }

  static override now = now;
}

globalThis.Date = GivenDate as DateConstructor;

if (process.env.GIVEN_MONOTONIC !== undefined) {
  const [real, first] = [performance.now.bind(performance), given()];
  performance.now = () => real() + given() - first;
}
