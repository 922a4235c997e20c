// What a proxy says about a store of delivered events that fails, and what its clients get meanwhile.
import type { LogLine } from '../machine/child-output.ts';
import type { RunningProxy } from '../proxy/proxy.ts';

export const REFUSED = { status: 503, text: '{"error":"overloaded"}' };
export const PASSWORD = 'a-password-that-nobody-may-print';

export const FAILS = 'the store of delivered events fails';
export const BACK = 'the store of delivered events works again';

/** Resolves with the first line. */
export const fails = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === FAILS, FAILS);

/** Does this; resolves with the line that each proxy then logs with this message: it may have logged others before. */
export async function logged(
  proxies: readonly RunningProxy[],
  msg: string,
  act: () => unknown,
): Promise<readonly LogLine[]> {
  const next = proxies.map(async (proxy) => {
    const lines = () => proxy.logs().filter((line) => line.msg === msg);
    const known = lines().length;
    await proxy.waitForLog(() => lines().length > known, msg);
    return lines()[known] ?? {};
  });
  const [lines] = await Promise.all([Promise.all(next), act()]);
  return lines;
}
