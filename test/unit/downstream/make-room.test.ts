// Who makes room is decided by address only among connections that have had no request: the pool of a balancer, whose
// connections all have one address, must not pay for a flood.
import { expect, test } from 'vitest';
import { networkOf } from '../../../src/downstream/client-address.ts';
import type { Connection, State } from '../../../src/downstream/connection.ts';
import { Room } from '../../../src/downstream/make-room.ts';

interface Standing {
  readonly network: string;
  readonly since: number;
  readonly state?: State;
  readonly openedAt?: number;
  readonly hadRequest?: boolean;
  /** Bytes per millisecond of its body. */
  readonly rate?: number;
}

const NOW = 100_000;

/** The order in which they make room, as positions in the list. */
function order(list: readonly Standing[]): number[] {
  const all = list.map(({ network, since, state = 'silent', openedAt = 0, hadRequest = false, rate = 0 }) => {
    return {
      network,
      since,
      openedAt,
      isNewcomer: !hadRequest,
      place: 0,
      state,
      progress: { unreadFor: () => 0 },
      awaiting: { rate: () => rate },
    } as unknown as Connection;
  });
  const room = new Room();
  const ended: number[] = [];
  for (;;) {
    const left = all.filter((_, index) => !ended.includes(index));
    const next = room.choose(() => left, NOW);
    if (next === null) return ended;
    ended.push(all.indexOf(next));
  }
}

test('The address that holds most silent connections makes room, its longest first.', () => {
  const [greedy, other] = ['10.0.0.1', '10.0.0.2'];
  expect(
    order([
      { network: other, since: 1 },
      { network: greedy, since: 2 },
      { network: greedy, since: 3 },
      { network: greedy, since: 4 },
    ]),
  ).toEqual([1, 2, 0, 3]);
});

test('Connections that have had a request make room by their age alone.', () => {
  const pool = (since: number) => ({ network: '10.0.0.1', since, state: 'idle' as const, hadRequest: true });
  expect(order([pool(2), pool(3), { ...pool(1), network: '10.0.0.2' }])).toEqual([2, 0, 1]);
});

test('A young connection of the greediest address goes before a young one of another.', () => {
  const young = (network: string, since: number) => ({ network, since, openedAt: NOW - 100 });
  expect(order([young('b', 1), young('a', 2), young('a', 3), young('a', 4)])).toEqual([1, 2, 0, 3]);
});

test('A lower rank goes first, whatever the addresses.', () => {
  expect(
    order([
      { network: 'a', since: 1, state: 'head' },
      { network: 'a', since: 2, state: 'head' },
      { network: 'b', since: 3 },
      { network: 'a', since: 0, state: 'idle', hadRequest: true },
    ]),
  ).toEqual([2, 0, 1, 3]);
});

test('A tunnel and a request that makes progress make no room; a young connection makes it last.', () => {
  const one = { network: 'a', since: 1, hadRequest: true };
  expect(
    order([
      { ...one, state: 'tunnel' },
      { ...one, state: 'request', rate: 2 },
      { ...one, openedAt: NOW - 100 },
      { ...one, state: 'request', rate: 1 },
      { ...one, state: 'idle' },
    ]),
  ).toEqual([3, 4, 2]);
});

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
])('The network of %s is %s.', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
