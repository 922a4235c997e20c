// What an editor says of a wrong size or duration: with two kinds of spelling in one key, its own words name no unit.
import { expect, test } from 'vitest';
import { renderConfigSchema } from '../../../scripts/generators/config-schema.ts';

test('each spelling of a size or a duration has a message that names the units', () => {
  const branches: { errorMessage?: string }[] = [];
  JSON.parse(renderConfigSchema(), (key, value) => {
    if (key === 'anyOf') branches.push(...value);
    return value;
  });
  expect(branches.length).toBeGreaterThan(30);
  for (const { errorMessage } of branches) {
    expect(errorMessage).toMatch(
      /^allowed is .*a (?:size|duration) from .* such as (?:250ms, 5s, 2m or 24h|512, 64KiB or 1MiB)$/,
    );
  }
});
