// `node bench/moonshot/oracle.ts [--seconds N] [--seed N] [--examples]`: the strict parser against llhttp. What ours takes llhttp must take, to the
// byte and with the same end; what llhttp takes and ours refuses is counted by kind and is no error. A disagreement ends the run.
import { parseArgs } from 'node:util';
import { Llhttp, type Taken } from './llhttp.ts';
import { inputs } from './oracle-inputs.ts';
import { RequestParser } from './request-parser.ts';

const LIMITS = { maxHeader: 64 * 1024, maxHeaders: 1000 };
const BATCH = 64;

export interface Read {
  readonly taken: readonly Taken[];
  /** Why it went no further; null where it would have taken more bytes. */
  readonly refused: string | null;
  /** It has a head and waits for the rest of its body. */
  readonly within: boolean;
  /** The last request that it took said that none follows. */
  readonly over: boolean;
}

/** What the strict parser takes the pieces for. */
export function read(pieces: readonly Buffer[]): Read {
  const parser = new RequestParser(LIMITS);
  const taken: Taken[] = [];
  let head: Omit<Taken, 'body'> | null = null;
  let over = false;
  for (const piece of pieces) {
    parser.push(piece);
    for (let step = parser.next(); step.kind !== 'more'; step = parser.next()) {
      if (step.kind === 'refused') return { taken, refused: step.why, within: false, over };
      if (step.kind === 'head') {
        const { method, target, version } = step.request.head;
        head = { method, target, version, lines: step.request.lines };
        over = step.request.last;
        parser.acceptBody(Number.MAX_SAFE_INTEGER);
      } else if (head !== null) {
        taken.push({ ...head, body: step.body.toString('latin1') });
        head = null;
      }
    }
  }
  return { taken, refused: null, within: head !== null, over };
}

/** Null where they agree as far as they must. */
export function disagreement(ours: Read, theirs: readonly Taken[]): string | null {
  for (const [index, request] of ours.taken.entries()) {
    const [one, other] = [JSON.stringify(request), JSON.stringify(theirs[index])];
    if (one !== other) return `request ${index}: ours ${one}, llhttp ${other}`;
    // node drops what it has read behind a head that asks for an upgrade, allowed or not: it has no opinion any more.
    if (asksForUpgrade(request)) return null;
  }
  // A head that both took, with another end of its body, is the worst that there is.
  if (ours.within && theirs.length > ours.taken.length) return 'llhttp has a whole body where ours waits for more';
  return null;
}

function asksForUpgrade({ lines }: Taken): boolean {
  return lines.some((line, index) => index % 2 === 0 && line.toLowerCase() === 'upgrade');
}

/** Under which name llhttp's taking more counts; null where it did not. */
function strictness(ours: Read, theirs: readonly Taken[]): string | null {
  if (theirs.length <= ours.taken.length || ours.taken.some(asksForUpgrade)) return null;
  return ours.refused ?? (ours.over ? 'a request after the last' : 'the end of a head is awaited');
}

async function run({ seconds, seed, examples }: { seconds: number; seed: number; examples: boolean }): Promise<void> {
  const llhttp = new Llhttp();
  const kinds = new Map<string, Kind>();
  const count = { inputs: 0, taken: 0, spoiltBoth: 0 };
  const until = performance.now() + 1000 * seconds;
  for (let batch = 0; performance.now() < until; batch++) {
    const all = inputs(seed + batch, BATCH);
    const answers = await Promise.all(
      all.map(({ bytes, pieces }, index) => llhttp.take(index % 2 === 0 ? [bytes] : pieces)),
    );
    for (const [index, { bytes, pieces }] of all.entries()) {
      const [ours, split, theirs] = [read([bytes]), read(pieces), answers[index] ?? []];
      const found =
        JSON.stringify(ours.taken) !== JSON.stringify(split.taken) ||
        (ours.refused === null) !== (split.refused === null)
          ? `whole ${JSON.stringify(ours)}, in pieces ${JSON.stringify(split)}`
          : disagreement(ours, theirs);
      if (found !== null) {
        console.log(`seed ${seed + batch}, input ${index}: ${found}\n${JSON.stringify(bytes.toString('latin1'))}`);
        process.exit(1);
      }
      count.inputs++;
      count.taken += ours.taken.length;
      const kind = strictness(ours, theirs);
      if (kind !== null) kinds.set(kind, shorter(kinds.get(kind), bytes));
      else if (ours.refused !== null) count.spoiltBoth++;
    }
  }
  console.log(
    `seed ${seed}: ${count.inputs} inputs, ${count.taken} requests that both took alike, ${count.spoiltBoth} inputs that both broke off at the same request, no disagreement`,
  );
  for (const [kind, { times, example }] of [...kinds].sort(([, a], [, b]) => b.times - a.times)) {
    console.log(`  llhttp took, ours refused for ${kind}: ${times}`);
    if (examples) console.log(`    ${JSON.stringify(example.toString('latin1'))}`);
  }
}

interface Kind {
  readonly times: number;
  /** The shortest of them. */
  readonly example: Buffer;
}

function shorter(kind: Kind | undefined, bytes: Buffer): Kind {
  if (kind === undefined) return { times: 1, example: bytes };
  return { times: kind.times + 1, example: bytes.length < kind.example.length ? bytes : kind.example };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      examples: { type: 'boolean', default: false },
    },
  });
  await run({ seconds: Number(values.seconds), seed: Number(values.seed), examples: values.examples });
  process.exit(0);
}
