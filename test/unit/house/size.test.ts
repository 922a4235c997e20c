// The house stays one that one person knows. Both ceilings are what it had when they were set, and 2 % more.
import { expect, test } from 'vitest';
import { figuresOf } from '../../../scripts/house.ts';

const SAID = 'raise it on purpose, in this file, and say why in the commit';
const MOST_LINES = 19_858;
const LONGEST_FILE = 400;

test('src as a whole is below its ceiling', () => {
  expect(figuresOf('src').lines, SAID).toBeLessThanOrEqual(MOST_LINES);
});

test('no file of src is longer than a sitting can read', () => {
  expect(figuresOf('src').longest, SAID).toBeLessThanOrEqual(LONGEST_FILE);
});
