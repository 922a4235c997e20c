// What a target costs, found by chance: CPU time, beside as many bytes of letters. test/unit/core/path-costs.test.ts has
// the shapes that people thought of.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { admit } from '../../src/core/admission.ts';
import { leastCpu } from '../support/machine/cpu-time.ts';
import { forward, head, NOW, policyOf, table, verify } from '../unit/core/fixtures.ts';
import { TEST_TIMEOUT, timeBox } from './time-box.ts';

const SIZE = 16 * 1024;

const pieces = fc.constantFrom(
  ...'a b notify x. / // / . .. ; (S(x)) ( a(b) %20 %2f %5c %3b %25'.split(' '),
  ...['%cc%81', '%cc%a3', '%cc%b4', '%cd%85', '%cd%84', '%ef%be%9e', '%f0%9d%85%a5', '%25cc%2581', '%c0%a5cc%81'],
  ...['%c2%ad', '%e2%80%8b', '%c0%ae', '%e0%80%af', '%ff', '%ef%bc', '%85', '%ef%bc%85', '%ef%bc%94', '%c2%b2', '%254'],
  ...['%ef%b7%ba', '%ef%ac%83', '%ea%b0%80', '%e1%84%80', '%e1%85%a1', '%e1%be%b7', '%ce%a3', '%ef%bc%8f', '%e2%84%80'],
);
/** A few pieces, each up to 40 times, all of them over and over. */
const unit = fc
  .array(fc.tuple(pieces, fc.constantFrom(1, 1, 1, 2, 13, 30, 40)), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.map(([piece, times]) => piece.repeat(times)).join(''));
const target = fc
  .tuple(unit, fc.constantFrom('', '%c3%a9%ef%bc%a1%c2%ad%c0%ae/'), unit)
  .map(([one, before, other]) => `/${before}${filled(one, SIZE / 2)}${filled(other, SIZE / 2 - before.length - 1)}`);

const filled = (unit: string, size: number) => unit.repeat(Math.floor(size / unit.length) || 1);

const names = [...'abcdefghij'];
const hundred = names.flatMap((one) => names.map((other) => `/${one}/${other}`));
const TABLES = [table([verify('/notify'), forward('/a/*')]), table(hundred.map((path) => verify(path)))];

test('no target costs more than eight times as much as letters', { timeout: TEST_TIMEOUT }, () => {
  const letters = `/${filled('%c3%a9', SIZE)}`;
  const costOf = (target: string, routes: (typeof TABLES)[number], limit = 0) => {
    const arrival = { head: head({ target }), policy: { ...policyOf([], []), routes }, at: NOW };
    return leastCpu(() => admit(arrival), limit);
  };
  const limits = TABLES.map((routes) => 8 * costOf(letters, routes));
  fc.assert(
    fc.property(target, fc.nat({ max: TABLES.length - 1 }), (target, at) => {
      const [routes, limit] = [TABLES[at], limits[at]] as [(typeof TABLES)[number], number];
      if (costOf(target, routes, limit) <= limit) return;
      // Now that this code is warm, letters may cost more or less than at first.
      const times = costOf(target, routes) / costOf(letters, routes);
      if (times > 8) expect.fail(`${times} times as much: ${target.slice(0, 200)} … ${target.slice(-200)}`);
    }),
    timeBox(1),
  );
});
