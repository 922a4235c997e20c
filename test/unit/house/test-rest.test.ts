// What the gate runs again after the bare machine: no test falls between the two runs.
import { expect, test } from 'vitest';
import { restOf } from '../../../scripts/test-rest.ts';

const named = (file: string, ...names: string[]) => names.map((name) => ({ file, name }));

test('a file is in the rest until each of its tests has passed, as often as its title is there', () => {
  const all = [
    ...named('whole', 'one', 'two'),
    ...named('skipped', 'one', 'two'),
    ...named('only with the tool', 'one'),
    ...named('twins', 'one', 'one'),
  ];
  const passed = [...named('whole', 'two', 'one'), ...named('skipped', 'two'), ...named('twins', 'one')];
  expect(restOf(all, passed)).toEqual(['skipped', 'only with the tool', 'twins']);
  expect(restOf(all, all)).toEqual([]);
});
