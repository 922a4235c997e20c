// The list of methods is the parser's. If an update of Node or undici changes theirs, this one follows.
import { METHODS as KNOWN } from 'node:http';
import { expect, test } from 'vitest';
import { METHODS } from '../../../src/config/keys-and-defaults.ts';
import { parse } from '../../support/http/parsed.ts';

test("the methods are node:http's, in the same order, but CONNECT", () => {
  expect(METHODS).toEqual(KNOWN.filter((method) => method !== 'CONNECT'));
});

test.each(METHODS)('the parser reads %s', (method) => {
  const { messages, partial } = parse('request', [Buffer.from(`${method} /a HTTP/1.1\r\nHost: h\r\n\r\n`)]);
  expect((messages[0] ?? partial)?.method).toBe(method);
});
