import { describe, expect, test } from 'vitest';
import { endToEnd, nominated } from '../../../src/core/header-lines.ts';
import { Head } from '../../../src/core/request-head.ts';
import { acceptsWebSocket, asksForWebSocket, tunnelHeaders } from '../../../src/core/websocket-handshake.ts';
import { ACCEPT, KEY } from '../../support/websocket/client.ts';

const LINES = ['Host', 'h', 'Connection', 'keep-alive, Upgrade', 'Upgrade', 'WebSocket'];

const asks = (lines: readonly string[]) =>
  asksForWebSocket(new Head({ method: 'GET', target: '/live', version: '1.1' }, lines));

// What else is none: test/integration/upgrades-not-allowed.test.ts.
describe('a WebSocket handshake', () => {
  test('is GET, HTTP/1.1, Upgrade: websocket, Connection: upgrade, in any case', () => {
    expect(asks(LINES)).toBe(true);
    expect(asks(['connection', 'UPGRADE', 'upgrade', 'websocket'])).toBe(true);
  });

  test.each([
    ['no Upgrade', ['Connection', 'Upgrade']],
    ['no Connection', ['Upgrade', 'websocket']],
    ['a Connection that names something else', ['Connection', 'upgraded', 'Upgrade', 'websocket']],
  ])('is invalid with %s', (_what, lines) => {
    expect(asks(lines)).toBe(false);
  });
});

describe("a 101's lines as the tunnel writes them", () => {
  test('keep spellings and duplicates, lose a length, and get Connection and Upgrade back', () => {
    const lines = [
      'X-A',
      '1',
      'Keep-Alive',
      '5',
      'Set-Cookie',
      'c',
      'x-a',
      '2',
      'X-A',
      '3',
      'Upgrade',
      'WebSocket',
      'Content-length',
      '9',
    ];
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

  test('accepts a handshake with its key', () => {
    expect(acceptsWebSocket(asked, agreed)).toBe(true);
  });

  test.each([
    ['no Upgrade', agreed.slice(2)],
    ['another protocol', agreed.with(1, 'h2c')],
    ['two Upgrades', [...agreed, 'Upgrade', 'websocket']],
    ['no accept', agreed.slice(0, -2)],
    ['the accept of another key', agreed.with(-1, `${ACCEPT.slice(0, -2)}8=`)],
    ['two accepts', [...agreed, 'Sec-WebSocket-Accept', ACCEPT]],
  ])('does not with %s', (_what, lines) => {
    expect(acceptsWebSocket(asked, lines)).toBe(false);
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
