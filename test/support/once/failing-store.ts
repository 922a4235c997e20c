// What a proxy says about a store of delivered events that fails, and what its clients get meanwhile.
import type { RunningProxy } from '../proxy/proxy.ts';

export const REFUSED = { status: 503, text: '{"error":"overloaded"}' };
export const PASSWORD = 'a-password-that-nobody-may-print';

export const FAILS = 'the store of delivered events fails';
export const BACK = 'the store of delivered events works again';

/** Resolves with the log line. */
export const fails = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === FAILS, FAILS);
export const isBack = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === BACK, BACK);
