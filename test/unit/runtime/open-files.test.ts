// How many connections the limit of open files has room for.
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { fitOpenFiles } from '../../../src/runtime/inputs.ts';

const REDELIVERS = 'routes: [{ path: /w, redeliver: 1h }]\n';

describe('of the files that a process may open, connections get', () => {
  const fits = (yaml: string, files: number) => {
    const loaded = parseConfig({ file: 'config.yaml', bytes: Buffer.from(yaml) }, {});
    const { config, warnings } = fitOpenFiles(loaded, files);
    return [config.limits.connections, warnings.some(({ key }) => key === 'limits.connections')];
  };

  test.each([
    ['all that they may be, where there is no limit', '', Number.POSITIVE_INFINITY, [1024, false]],
    ['all that they may be, where it is high enough', '', 1408, [1024, false]],
    ['what upstream sockets and the rest leave', '', 1407, [1023, true]],
    ['a half, where there are few', '', 64, [32, true]],
    ['ten fewer beside a store of deferred deliveries in a directory', REDELIVERS, 1408, [1014, true]],
    ['a half of what that store leaves, where there are few', REDELIVERS, 64, [27, true]],
    [
      'as many as without it beside one in Redis',
      `${REDELIVERS}redelivery: { store: redis://r, name: a }`,
      1408,
      [1024, false],
    ],
  ] as const)('%s', (_, yaml, files, expected) => {
    expect(fits(yaml, files)).toEqual(expected);
  });
});
