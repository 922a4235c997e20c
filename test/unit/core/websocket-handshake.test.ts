import { describe, expect, test } from 'vitest';
import { endToEnd, nominated } from '../../../src/core/header-lines.ts';
import { Head } from '../../../src/core/request-head.ts';
import { acceptsWebSocket, asksForWebSocket, tunnelHeaders } from '../../../src/core/websocket-handshake.ts';
import { ACCEPT, KEY } from '../../support/websocket/client.ts';
import { split } from './fixtures.ts';

const LINES = ['Host', 'h', 'Connection', 'keep-alive, Upgrade', 'Upgrade', 'WebSocket'];

const asks = (lines: readonly string[]) =>
  asksForWebSocket(new Head({ method: 'GET', target: '/live', version: '1.1' }, lines));

// What else is none: test/integration/upgrades-not-allowed.test.ts.
test.each([
  ['in any case', ['connection', 'UPGRADE', 'upgrade', 'websocket'], true],
  ['beside another option', LINES, true],
  ['with no Upgrade', ['Connection', 'Upgrade'], false],
  ['with no Connection', ['Upgrade', 'websocket'], false],
  ['with a Connection that names something else', ['Connection', 'upgraded', 'Upgrade', 'websocket'], false],
])('a WebSocket handshake is GET, HTTP/1.1, Upgrade: websocket, Connection: upgrade: %s', (_what, lines, is) => {
  expect(asks(lines)).toBe(is);
});

describe("a 101's lines as the tunnel writes them", () => {
  test('keep spellings and duplicates, lose a length, and get Connection and Upgrade back', () => {
    const ended = ['Upgrade', 'WebSocket', 'Content-length', '9'];
    const lines = [...split('X-A 1 Keep-Alive 5 Set-Cookie c x-a 2 X-A 3'), ...ended];
    expect(tunnelHeaders(lines)).toEqual({
      ...{ 'X-A': ['1', '3'], 'Set-Cookie': ['c'], 'x-a': ['2'] },
      ...{ connection: 'Upgrade', upgrade: 'websocket' },
    });
  });

  test('a name that is also an Object property is an ordinary name', () => {
    expect(Object.entries(tunnelHeaders(['__proto__', 'x']))).toContainEqual(['__proto__', ['x']]);
  });
});

describe('a 101', () => {
  const asked = [...LINES, 'Sec-WebSocket-Key', KEY];
  const agreed = ['Upgrade', 'WebSocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', ACCEPT];

  test.each([
    ['accepts a handshake with its key', agreed, true],
    ['does not with no Upgrade', agreed.slice(2), false],
    ['with another protocol', agreed.with(1, 'h2c'), false],
    ['with two Upgrades', [...agreed, 'Upgrade', 'websocket'], false],
    ['with no accept', agreed.slice(0, -2), false],
    ['with the accept of another key', agreed.with(-1, `${ACCEPT.slice(0, -2)}8=`), false],
    ['with two accepts', [...agreed, 'Sec-WebSocket-Accept', ACCEPT], false],
  ])('%s', (_what, lines, accepts) => {
    expect(acceptsWebSocket(asked, lines)).toBe(accepts);
  });
});

describe('the lines of a handshake that are forwarded', () => {
  test('exclude every line that Connection names, before it and after it', () => {
    const lines = ['X-A', '1', 'Connection', 'close, x-a', 'x-a', '2', 'X-B', '3', 'connection', ' X-B ,,', 'X-C', '4'];
    expect(endToEnd(lines)).toEqual(['X-C', '4']);
  });

  test('names match as a whole', () => {
    expect(nominated('keep-alive , X-A,\tx-b,')).toEqual(['keep-alive', 'x-a', 'x-b']);
    expect(endToEnd(['X-A', '1', 'Connection', 'x-a;y, x', 'X', '2'])).toEqual(['X-A', '1']);
  });
});
