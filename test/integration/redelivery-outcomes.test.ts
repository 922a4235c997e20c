// What becomes of a delivery whose outcome the store does not learn, or that another one replaces while it is at work.
import type { ServerResponse } from 'node:http';
import { describe, expect } from 'vitest';
import { DEFERRED_STATES } from '../../src/core/fate-by-status.ts';
import type { Queue } from '../../src/redelivery/queue.ts';
import { eventId } from '../../src/redelivery/record.ts';
import { type Change, LEAST_BYTES } from '../../src/redelivery/stores/store.ts';
import { eventually } from '../support/proxy/proxied.ts';
import type { App } from '../support/redelivery/proxy.ts';
import { changing, policyOf, stored, test, waiting } from '../support/redelivery/queue.ts';
import { idOf, noteOf } from '../support/redelivery/stores.ts';
import { policyOf as policyWith, verify } from '../unit/core/fixtures.ts';

const stateOf = (to: Change['to']) => (typeof to === 'string' ? 'removed' : to.state);
/** The same, but due after `most` milliseconds at the latest. */
const dueIn = (to: Change['to'], most: number) =>
  typeof to === 'string' ? to : { ...to, pause: Math.min(to.pause, most) };

/** Lets the app answer nothing by itself; returns the responses that it holds. */
function holding(app: App): readonly ServerResponse[] {
  const held: ServerResponse[] = [];
  app.answer = () => (_request, response) => held.push(response);
  return held;
}

describe.concurrent('a deferred delivery', () => {
  test.for([
    ['fails', 2],
    ['fails late', 1],
  ] as const)(
    'taken, is not sent again, and counts once, also if its removal %s',
    async ([how, times], { app, budget, results, start, delivery }) => {
      let left: number = times;
      const queue = await start((store) => ({
        change: async (changes) => {
          const fails = left-- > 0;
          const changed = fails && how === 'fails' ? [] : await store.change(changes);
          if (fails) throw new Error('not now');
          return changed;
        },
      }));
      await stored(queue, delivery('event'));
      await eventually(() => results, ['delivered']);
      await eventually(() => waiting(queue), 0);
      expect(app.requests).toHaveLength(1);
      expect(queue.storeState.failureCount).toBeGreaterThanOrEqual(times); // and those that a busy machine makes
      await eventually(() => budget.used, 0);
    },
  );

  test('refused, it stays so while the store cannot write', async ({ app, results, start, delivery }) => {
    let failures = 0;
    const queue = await start((store) =>
      changing(store, (to) => {
        if (stateOf(to) === 'stopped' && failures++ < 2) throw new Error('the disk is full');
        return to;
      }),
    );
    app.answer = () => 404;
    await stored(queue, delivery('event'));
    await eventually(() => results, ['client_error']);
    expect([app.requests.length, failures]).toEqual([1, 3]);
    await queue.storeState.refresh();
    expect(queue.storeState.summary.soonest).toMatchObject([
      { state: 'stopped', note: { attempts: 1, failure: '404' } },
    ]);
  });

  test('eight are sent at once; one fails, and the leased go back', async ({ app, opened, queue, delivery }) => {
    const held = holding(app);
    for (let nth = 0; nth < 20; nth++) await stored(queue, delivery(`event ${nth}`));
    await eventually(() => held.length, 1);
    held[0]?.end();
    await eventually(() => held.length, 9);
    const store = await opened.promise;
    const lease = (limit: number) => store.lease({ limit, room: 100_000, leases: [] });
    await eventually(async () => (await lease(0)).wait > 0, true); // the queue has leased all
    expect(held).toHaveLength(9);
    held[1]?.writeHead(500).end();
    const given: unknown[] = [];
    await eventually(async () => given.push(...(await lease(20)).leased) >= 11, true);
    for (const response of held) response.end();
  });

  test('a store that could not be opened is opened by the next delivery', async ({ start, delivery }) => {
    let opened = 0;
    const queue = await start((store) => {
      if (++opened > 1) return {};
      void store.close(); // which gives up its directory
      throw new Error('no file descriptor is free');
    });
    await stored(queue, delivery('event'));
    expect(opened).toBe(2);
  });

  test('what replaces one at work is sent once that is over', async ({ app, results, queue, delivery }) => {
    await stored(queue, delivery('the app works'));
    await eventually(() => results, ['delivered']);
    for (const status of [503, 200]) {
      const held = holding(app);
      const event = delivery(`its first sending ends in ${status}`);
      await stored(queue, event);
      await eventually(() => held.length, 1);
      await stored(queue, event);
      await queue.deliverNow(null);
      // Were it begun beside the first, it would be under way by then.
      await stored(queue, delivery(`beside ${status}`));
      await queue.deliverNow(null);
      await eventually(() => app.bodies().includes(`beside ${status}`), true);
      expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(1);
      app.answer = () => 200;
      held[1]?.writeHead(200).end();
      held[0]?.writeHead(status).end();
      await eventually(() => waiting(queue), 0);
      expect(app.bodies().filter((body) => body === event.body.toString())).toHaveLength(2);
    }
    // What was replaced has that end, and no other.
    expect(results.toSorted()).toEqual([...Array(5).fill('delivered'), 'replaced', 'replaced']);
  });

  test('one that an equal one replaced is not lost at its end', async ({ app, results, queue, delivery }) => {
    const held = holding(app);
    const untilOver = Date.now() + 3000;
    await stored(queue, delivery('event', { age: 3_600_000 - 2000 }));
    await eventually(() => held.length, 1);
    await stored(queue, delivery('event'));
    await eventually(() => Date.now() >= untilOver, true);
    held[0]?.writeHead(500).end();
    await queue.settled();
    expect(results).toEqual(['replaced']);
    await eventually(() => waiting(queue), 1);
  });

  const totals = async (queue: Queue) => {
    await queue.storeState.refresh();
    return DEFERRED_STATES.flatMap((state) => {
      const { deliveries } = queue.storeState.total(state);
      return deliveries === 0 ? [] : `${deliveries} ${state}`;
    });
  };

  test('one whose window is over gets one sending, and is kept', async ({ app, results, queue, delivery }) => {
    app.answer = () => 500;
    await stored(queue, delivery('over', { age: 7_200_000 - 60_000 }));
    await eventually(() => results, ['expired']);
    await eventually(async () => [app.requests.length, await totals(queue)], [1, ['1 expired']]);
    // A person may have it sent, again and again; it stays what it is until the app takes it.
    for (let times = 2; times < 4; times++) {
      expect(await queue.deliverNow(null)).toBe(1);
      await eventually(() => app.requests.length, times);
      await queue.settled();
      await eventually(async () => [results, await totals(queue)], [['expired'], ['1 expired']]);
    }
    app.answer = () => 404;
    await queue.deliverNow(null);
    await eventually(() => results, ['expired', 'client_error']);
    await eventually(() => totals(queue), ['1 expired']);
    app.answer = () => 200;
    await queue.deliverNow(null);
    await eventually(() => results, ['expired', 'client_error', 'delivered']);
    await eventually(() => totals(queue), []);
  });

  test("one that is kept stays, though the store's clock is ahead", async ({ app, results, start, delivery }) => {
    let changes = 0;
    const queue = await start((store) => changing(store, (to) => (changes++ < 5 ? dueIn(to, 0) : to)));
    app.answer = () => 500;
    await stored(queue, delivery('over', { age: 7_200_000 - 60_000 }));
    await eventually(() => changes, 6);
    await queue.settled();
    await eventually(async () => [app.requests.length, results, await totals(queue)], [1, ['expired'], ['1 expired']]);
  });

  test.for([
    ['expired', 500, ['expired', 'lost']],
    ['stopped', 404, ['client_error', 'lost']],
  ] as const)(
    'one that is %s ends lost once it was kept long enough, with its line',
    async ([, status, ends], { app, results, lines, settings, start, delivery }) => {
      settings.keep = 0;
      const queue = await start(() => ({}));
      app.answer = () => status;
      await stored(queue, delivery('over', { age: 7_200_000 }));
      await eventually(() => results, [...ends]);
      await eventually(async () => [app.requests.length, await totals(queue)], [1, []]);
      expect(lines).toMatchObject([{ why: 'keep', attempts: 1, last_answer: `${status}`, route: '/notify' }]);
      await queue.storeState.refresh();
      expect(queue.storeState.summary.losses).toMatchObject([{ why: 'keep', note: { attempts: 1 } }]);
    },
  );

  test('of one without record and note no more is told than is known', async ({ results, lines, start, delivery }) => {
    const queue = await start((store) => ({
      async lease(request) {
        const { leased, wait } = await store.lease(request);
        return { leased: leased.map((one) => ({ ...one, record: new Uint8Array(), note: null })), wait };
      },
    }));
    await queue.storing.defer(delivery('gone'), '503').atLast;
    await eventually(() => results, ['lost']);
    const unknown = { route: 'not known', came: 'not known', attempts: 'not known', last_answer: 'not known' };
    expect(lines).toMatchObject([{ ...unknown, why: 'record' }]);
  });

  test('nothing is lost while the log takes no line', async ({ app, results, lines, settings, start, delivery }) => {
    settings.keep = 0;
    lines.length = 0;
    let takes = false;
    settings.takesLine = () => takes;
    const queue = await start((store) => changing(store, (to) => dueIn(to, 200)));
    app.answer = () => 500;
    await stored(queue, delivery('over', { age: 7_200_000 }));
    await eventually(() => results, ['expired']);
    await queue.settled();
    await eventually(async () => [results, lines, await totals(queue)], [['expired'], [], ['1 expired']]);
    takes = true;
    await eventually(() => results, ['expired', 'lost']);
    expect(lines).toHaveLength(1);
  });

  test('the oldest kept ones give way, each after its line and in one change', async ({
    app,
    results,
    lines,
    settings,
    start,
    delivery,
  }) => {
    settings.maxBytes = 3 * LEAST_BYTES;
    const ended: number[] = [];
    const queue = await start((store) => ({
      change(changes) {
        ended.push(changes.filter(({ to }) => to === 'room').length);
        expect(lines.length).toBeGreaterThanOrEqual(ended.reduce((sum, count) => sum + count));
        return store.change(changes);
      },
    }));
    app.answer = (body) => (body.startsWith('old') ? 404 : 500);
    for (const [at, name] of ['old 2', 'old 1', 'old 3'].entries()) {
      await stored(queue, delivery(name, { age: name === 'old 1' ? 1_000_000 : 1000 * (3 - at) }));
      await eventually(() => results.length, at + 1);
    }
    for (const bytes of [LEAST_BYTES, 1]) await stored(queue, delivery(`fresh ${'x'.repeat(bytes)}`));
    expect(ended.filter((count) => count > 0)).toEqual([2, 1]);
    expect(results.filter((each) => each === 'lost')).toHaveLength(3);
    expect(lines.map(({ id }) => id)).toEqual(
      ['old 1', 'old 2', 'old 3'].map((name) => eventId(delivery(name).head, Buffer.from(name))),
    );
    // What waits gives way to nobody.
    expect(await queue.storing.defer(delivery('fresh 2'), '500').inTime).toBe('not stored');
    expect(queue.storeState.problem).not.toBeNull(); // full, or slow on a busy machine
    await eventually(() => totals(queue), ['2 waiting']);
  });

  test('few give way at a time, and no more once the client has its error', async ({
    lines,
    settings,
    opened,
    start,
    delivery,
  }) => {
    settings.maxBytes = 40 * LEAST_BYTES;
    const leased: number[] = [];
    const queue = await start((store) => ({
      async leaseKept(id, bytes) {
        const kept = await store.leaseKept(id, bytes);
        leased.push(kept.length);
        return kept;
      },
    }));
    const store = await opened.promise;
    for (let nth = 0; nth < 40; nth++) {
      const id = idOf();
      await store.add({ id, record: [Buffer.from('odd'), Buffer.of()], note: noteOf({ came: Date.now() }) }, 60_000);
      await store.change([{ id, to: { state: 'expired', pause: 3_000_000 } }]);
    }
    const { inTime, atLast } = queue.storing.defer(delivery('x'.repeat(39 * LEAST_BYTES)), '500');
    settings.takesLine = () => inTime.then(() => true); // the log is that slow
    expect(await atLast).toBe('not stored');
    expect([leased.filter((count) => count > 32), lines.slice(1)]).toEqual([[], []]);
    await eventually(() => totals(queue), [`${40 - lines.length} expired`]);
  });

  test('what nothing verifies expires once something does', async ({ app, results, rules, start, delivery }) => {
    const { policy } = rules;
    const changed = Promise.withResolvers<void>();
    const queue = await start((store) => ({ lease: (request) => changed.promise.then(() => store.lease(request)) }));
    await stored(queue, delivery('over', { age: 7_200_000 - 60_000 }));
    rules.policy = policyOf(['current', 'another-secret-0123456789abcdef']);
    changed.resolve();
    await eventually(() => results, ['unverified']);
    await queue.deliverNow(null);
    await queue.settled();
    await eventually(() => totals(queue), ['1 unverified']);
    rules.policy = policy;
    await queue.adopt();
    await eventually(() => results, ['unverified', 'expired']);
    await eventually(async () => [app.requests, await totals(queue)], [[], ['1 expired']]);
    expect(queue.storeState.summary.soonest[0]?.note?.failure).toBe('500'); // the secret is there again
  });

  test('only attempts between which others were taken count against it', async ({ app, results, start, delivery }) => {
    const queue = await start((store) => changing(store, (to) => dueIn(to, 0)));
    const passed = async () => {
      await queue.storeState.refresh();
      const note = queue.storeState.summary.soonest[0]?.note;
      return [Math.min(note?.attempts ?? 0, 3), note?.passed ?? 0];
    };
    app.answer = () => 503;
    await stored(queue, delivery('suspect'));
    await eventually(passed, [3, 0]);
    await queue.storing.taken(delivery('came earlier', { age: 60_000 }));
    const tries = async (more: number) => {
      const before = app.requests.length;
      await eventually(() => app.requests.length > before + more, true);
    };
    await tries(2);
    expect(await passed()).toEqual([3, 0]);
    // Each of the app's takings speaks against the suspect once; while it takes nothing, nothing does.
    for (const nth of [1, 2, 3]) {
      await queue.storing.taken(delivery('came later'));
      await eventually(passed, [3, nth]);
      await tries(2);
      expect(await passed()).toEqual([3, nth]);
    }
    expect(results).toEqual([]);
  });

  test('unverified, one is looked at each minute', async ({ app, results, rules, start, delivery }) => {
    const pauses: number[] = [];
    const queue = await start((store) =>
      changing(store, (to) => {
        if (typeof to !== 'string') pauses.push(to.pause);
        return dueIn(to, 0); // the minute is over at once
      }),
    );
    const event = delivery('event');
    const { policy } = rules;
    await stored(queue, event);
    rules.policy = policyOf(['current', 'another-secret-0123456789abcdef']);
    await eventually(() => pauses.length > 1, true);
    expect([new Set(pauses), app.requests.length]).toEqual([new Set([60_000]), 0]);
    rules.policy = policy; // and nobody tells the queue
    await eventually(() => results, ['unverified', 'delivered']);
  });

  test('a sending cut by the end of the process is no last one', async ({ app, results, start, delivery }) => {
    const settings: unknown[] = [];
    const queue = await start((store) =>
      changing(store, (to) => {
        settings.push(stateOf(to));
        return to;
      }),
    );
    const held = holding(app);
    await stored(queue, delivery('over', { age: 7_200_000 }));
    await eventually(() => held.length, 1);
    queue.stopSending();
    held[0]?.socket?.destroy();
    await queue.settled();
    expect([settings, results]).toEqual([[undefined], []]); // it stays what it is
  });

  test('a turn that fails is told, and ends with its lease', async ({ budget, rules, start, delivery }) => {
    const held: number[] = [];
    const queue = await start((store) => ({
      lease: (asked) => {
        held.push(asked.leases.length);
        return store.lease(asked);
      },
    }));
    // Its `once` cannot be opened.
    const { routes } = policyWith([verify('/notify', { redeliver: 60_000, once: 60_000 })], []);
    rules.policy = { ...rules.policy, routes };
    await stored(queue, delivery('event'));
    await eventually(() => queue.storeState.failureCount, 1);
    await queue.settled();
    await eventually(() => budget.used, 0); // the next lease may be under way
    const before = held.length;
    await queue.deliverNow(null);
    await eventually(() => held.length > before, true);
    expect(held.at(-1)).toBe(0);
  });

  test('a fresh copy that is taken ends the one that waits', async ({ app, results, queue, delivery }) => {
    app.answer = () => 404;
    const event = delivery('event');
    await stored(queue, event);
    await eventually(() => results, ['client_error']);
    await queue.storing.taken({ ...event, came: event.came - 60_000 }); // it was stored after this one had come
    await queue.storing.taken(delivery('another'));
    await queue.storeState.refresh();
    await queue.storing.taken({ ...event, came: Date.now() });
    await eventually(() => results, ['client_error', 'replaced']);
    await queue.storeState.refresh();
    expect(queue.storeState.isEmpty).toBe(true);
    expect(app.requests).toHaveLength(1);
  });

  test('an equal one that is stored after the app took one stays, while the store is at other changes', async ({
    app,
    queue,
    delivery,
  }) => {
    app.answer = () => 503;
    await stored(queue, delivery('another'));
    const others = queue.storeState.endLease({ id: 'absent', lease: 'absent' }, 'dropped');
    const taken = queue.storing.taken(delivery('event'));
    await stored(queue, delivery('event'));
    await Promise.all([others, taken]);
    await queue.storeState.refresh();
    expect(queue.storeState.total('all').deliveries).toBe(2);
  });

  test('one that waits is not sent once the app has taken an equal one', async ({ app, results, queue, delivery }) => {
    await stored(queue, delivery('the app works'));
    await eventually(() => results, ['delivered']);
    const held = holding(app);
    for (let nth = 0; nth < 12; nth++) await stored(queue, delivery(`event ${nth}`));
    await eventually(() => held.length, 8);
    const left = Array.from({ length: 12 }, (_, nth) => `event ${nth}`).filter((body) => !app.bodies().includes(body));
    expect(left).toHaveLength(4);
    await queue.storing.taken(delivery(left[1] ?? ''));
    app.answer = () => 200;
    for (const response of held) response.end();
    await eventually(() => waiting(queue), 0);
    const sent = app.bodies().filter((body) => left.includes(body)); // beside each other, in any order
    expect(sent.toSorted()).toEqual(left.filter((_, nth) => nth !== 1).toSorted());
    expect(results.filter((each) => each === 'replaced')).toHaveLength(1);
  });

  test('a note that somebody forged changes no bytes, no end', async ({ app, results, start, delivery }) => {
    const ahead = Date.now() + 10 * 365 * 86_400_000;
    const queue = await start((store) => ({
      add: (event, pause) =>
        store.add({ ...event, note: noteOf({ came: ahead, attempts: 9e15, tried: ahead }) }, pause),
    }));
    app.answer = () => 500;
    await stored(queue, delivery('over', { age: 7_200_000 }));
    await eventually(() => results, ['expired']);
    expect(app.bodies()).toEqual(['over']);
  });
});
