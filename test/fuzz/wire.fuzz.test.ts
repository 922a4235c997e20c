// A raw-socket fuzzer: valid requests, mutated in many ways, against a running proxy in front of an upstream that
// accepts anything. Each request gets one verdict, nothing unsigned reaches the upstream, no response is unsolicited,
// and the process stays healthy.
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { cut } from '../support/http/parsed.ts';
import { openClient } from '../support/http/raw-client.ts';
import { parseResponse, type RawResponse, values } from '../support/http/response-parser.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { fuzz, SEED } from './time-box.ts';
import { checkAnswer, checkSeen, countedByStatus, settled, unanswered } from './wire-checks.ts';
import { fewMutations, type Mutation, mutate, mutation } from './wire-mutations.ts';
import { BASES, CONFIGURATIONS, type Configuration, MAX_HEADER, optionsOf } from './wire-requests.ts';

/** The process's peak memory, with bodies of 128 KiB and a few dozen connections. */
const MOST_MEMORY = 200 * 1024 * 1024;
/**
 * Milliseconds without a byte from the proxy after which a client half-closes, and the longer value for when that was
 * too soon.
 */
const SILENCE_MS = 25;
const PATIENCE_MS = 1_000;
/** In JSON: up to 80 characters or escapes, at least a hundred times. */
const REPEATED = /((?:\\u.{4}|\\.|[^\\]){1,80}?)\1{99,}/g;

// --- one connection: events are awaited, and silence only where more bytes may or may not come

/**
 * How it ends once everything is written: by half-closing after a silence, by waiting for the proxy to close, or by a
 * reset.
 */
type Ending = 'half-close' | 'wait' | 'hang up';

interface Play {
  /** The bytes, written in these pieces. */
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
  /** The number of responses that must come: silence counts only after them. */
  readonly atLeast: number;
  /** Milliseconds without a byte after which nothing more is awaited. */
  readonly silence: number;
}

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** Every answer up to the end of the connection; none to a client that hangs up. */
async function play(port: number, { pieces, ending, atLeast, silence }: Play): Promise<RawResponse[]> {
  const client = await openClient({ port });
  const { socket } = client;
  const answers: RawResponse[] = [];
  try {
    for (const piece of pieces) {
      if (socket.destroyed) break;
      await client.send(piece);
      await nextTurn();
    }
    if (ending === 'hang up') {
      socket.resetAndDestroy();
      return [];
    }
    while (answers.length < atLeast && !isOver(answers)) {
      const answer = await client.responseOrClose();
      if (answer === null) break;
      answers.push(answer);
    }
    if (ending === 'half-close') {
      await untilSilent(socket, silence);
      client.end();
    }
    return readAnswers(await client.rest(), answers);
  } finally {
    client.destroy();
  }
}

/** Resolves after so many milliseconds without a byte, or at the end. */
function untilSilent(socket: Socket, silence: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, silence);
    socket.on('data', () => timer.refresh()).once('close', resolve);
  });
}

const isOver = (answers: readonly RawResponse[]) => values(answers.at(-1)?.lines ?? [], 'connection').includes('close');

/**
 * Those before, and the rest, read by the strict parser. Throws on a byte that belongs to none, and on bytes after a
 * closing response. A client that half-closes before its response has left, and may have received a 100 Continue before.
 */
function readAnswers(rest: Buffer, before: readonly RawResponse[]): RawResponse[] {
  const answers = [...before];
  for (let at = 0; at < rest.length; ) {
    const text = rest.toString('latin1', at);
    const parsed = isOver(answers) ? null : parseResponse(rest.subarray(at));
    if (parsed === null && !isOver(answers) && text === CONTINUE) break;
    if (parsed === null) throw new Error(`no answer, after ${answers.length}: ${JSON.stringify(text.slice(0, 200))}`);
    answers.push(parsed.response);
    at += parsed.length;
  }
  return answers;
}

// --- scripts

/** node's own come as it needs them: a collection of garbage brings its own. */
const ownSeries = (metrics: Map<string, number>) =>
  [...metrics.keys()].filter((name) => !/^(?:nodejs_|entrupy_proxy_diagnosis)/.test(name));

/** One connection: requests by name, the mutations of each and of the whole, and where the writes are split. */
interface Script {
  readonly requests: readonly { readonly base: string; readonly spoil: readonly Mutation[] }[];
  readonly spoil: readonly Mutation[];
  readonly splits: readonly number[];
  readonly ending: Ending;
}

function script(configuration: Configuration): fc.Arbitrary<Script> {
  const names = BASES[configuration].map(({ name }) => name);
  const spoil = fewMutations(mutation);
  return fc.record({
    requests: fc.array(fc.record({ base: fc.constantFrom(...names), spoil }), { minLength: 1, maxLength: 4 }),
    spoil: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(mutation, { maxLength: 2 }) },
    ),
    splits: fc.array(fc.nat(1 << 18), { maxLength: 5 }),
    ending: fc.oneof(
      { weight: 200, arbitrary: fc.constant<Ending>('half-close') },
      { weight: 1, arbitrary: fc.constant<Ending>('wait') },
      { weight: 20, arbitrary: fc.constant<Ending>('hang up') },
    ),
  });
}

describe.each(Object.keys(CONFIGURATIONS) as Configuration[])('on the configuration "%s"', (configuration) => {
  const on = shared(startLenientUpstream, ...optionsOf(configuration));
  let counted: Map<string, number>;
  /** Requests that the upstream saw, and those counted as let through or as abandoned by their client. */
  let [arrived, passed] = [0, 0];
  let series: readonly string[];
  beforeAll(async () => {
    counted = await on.proxy.metrics();
    series = ownSeries(counted);
  });

  /** Unmutated requests at the front of a script: their responses are known, and must come. */
  function knownStatuses({ requests, spoil }: Script): number[] {
    const statuses: number[] = [];
    if (spoil.length > 0) return statuses;
    for (const { base, spoil } of requests) {
      const known = BASES[configuration].find(({ name }) => name === base);
      if (known === undefined || spoil.length > 0 || (known.breaks && statuses.length > 0)) return statuses;
      statuses.push(known.status);
      if (known.last === true) return statuses;
    }
    return statuses;
  }

  function bytesOf({ requests, spoil }: Script): string {
    const whole = requests.map(({ base, spoil }) => {
      const bytes = BASES[configuration].find(({ name }) => name === base)?.send ?? '';
      return spoil.reduce(mutate, bytes);
    });
    return spoil.reduce(mutate, whole.join(''));
  }

  function run(script: Script, silence: number): Promise<RawResponse[]> {
    const pieces = cut(Buffer.from(bytesOf(script), 'latin1'), script.splits);
    return play(on.proxy.port, { pieces, ending: script.ending, atLeast: knownStatuses(script).length, silence });
  }

  function checkOwn(script: Script, answers: readonly RawResponse[]): void {
    if (script.ending === 'hang up') return;
    answers.forEach(checkAnswer);
    // More than maxHeader bytes behind a request are dropped: its response is the last, and says so unless it had started.
    const first = BASES[configuration].find(({ name }) => name === script.requests[0]?.base)?.send ?? '';
    const tooMuch = bytesOf(script).length - first.length > MAX_HEADER;
    const known = knownStatuses(script).slice(0, tooMuch ? Math.max(1, answers.length) : undefined);
    expect(answers.slice(0, known.length).map(({ status }) => status)).toEqual(known);
  }

  async function check(scripts: readonly Script[], silence = SILENCE_MS): Promise<void> {
    const answered = await Promise.all(scripts.map((script) => run(script, silence)));
    const metrics = await settled(on.proxy);
    const seen = on.upstream.seen.splice(0);
    const delta = countedByStatus(counted, metrics);
    counted = metrics;
    for (const request of seen) checkSeen(configuration, request);
    for (const [index, script] of scripts.entries()) checkOwn(script, answered[index] ?? []);
    const answers = answered.flat();
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(seen.length);
    // Totals since the start: a request whose client hung up is counted at once, and may arrive during the next script.
    arrived += seen.length;
    passed += (delta.get(200) ?? 0) + (delta.get(499) ?? 0);
    expect(arrived, 'requests upstream').toBeLessThanOrEqual(passed);
    const lost = unanswered(delta, answers);
    if (lost.length === 0 || scripts.some(({ ending }) => ending === 'hang up')) return;
    // On a busy machine a response may come after the half-close, which counts as leaving: retry with more patience.
    if (silence < PATIENCE_MS) await check(scripts, PATIENCE_MS);
    else expect.fail(lost.join('; '));
  }

  /** The exact bytes as a JavaScript expression, with what is repeated often shortened. */
  const show = (script: Script) =>
    `${script.ending}: ${JSON.stringify(bytesOf(script)).replace(REPEATED, (run, unit) => `" + "${unit}".repeat(${run.length / unit.length}) + "`)}`;

  test('whatever is sent, each response is one that the rules allow', async () => {
    let tried = 0;
    const scripts = fc.array(script(configuration), { minLength: 1, maxLength: 16 });
    await fuzz(
      scripts,
      async (scripts) => {
        tried += scripts.length;
        await check(scripts).catch((error: Error) => {
          error.message += `\nsent, one connection a line:\n${scripts.map(show).join('\n')}`;
          throw error;
        });
      },
      { properties: 2 },
    );
    console.log(`${configuration}: ${tried} connections, seed ${SEED}`);
  });

  test('the process is alive, logged nothing odd, and stayed small', async () => {
    if (configuration === 'strict') expect(on.upstream.leftovers()).toEqual([]);
    expect((await on.proxy.memory()).peak).toBeLessThan(MOST_MEMORY);
    expect(ownSeries(counted), 'all series are there from the start').toEqual(series);
    expect(on.proxy.logs().filter(({ level, msg }) => level === 'error' && msg !== 'diagnosis')).toEqual([]);
    expect((await on.proxy.stop()).code).toBe(0);
    expect(
      on.proxy
        .output()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('{')),
    ).toEqual([]);
  });
});
