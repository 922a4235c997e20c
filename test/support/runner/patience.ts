// How long a test waits for what should come at once: half a minute on a quiet machine, and longer the busier it is, so that none
// judges the machine.
import { availableParallelism, loadavg } from 'node:os';

const QUIET_MS = 30_000;

/** Milliseconds that a test may take, and more than any of its waits. */
export const LONGEST_MS = 300_000;

/** Milliseconds, by the load of the machine now. */
export const patience = () => Math.min(Math.ceil(QUIET_MS * business()), LONGEST_MS - QUIET_MS);

/**
 * A setting in which a test must get something done: so many seconds on a quiet machine, and more on a busy one. Most tests wait
 * for its end, too, so it grows only until what takes milliseconds has time enough.
 */
export const enough = (seconds: number) => `${Math.ceil(seconds * Math.min(business(), MOST_STRETCH))}s`;

const MOST_STRETCH = 3;

/** 1 on a quiet machine. */
const business = () => Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
