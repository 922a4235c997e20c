// What a handshake is: test/integration/upgrades-not-allowed.test.ts.
import { describe, expect, test } from 'vitest';
import { acceptsWebSocket, tunnelHeaders } from '../../../src/core/websocket-handshake.ts';
import { ACCEPT, KEY } from '../../support/websocket/client.ts';
import { split } from './fixtures.ts';

const LINES = ['Host', 'h', 'Connection', 'keep-alive, Upgrade', 'Upgrade', 'WebSocket'];

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
