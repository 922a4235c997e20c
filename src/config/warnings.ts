// What works, but rarely as its author hopes: told at start and by check-config. A warning must never stop the proxy.
import type { Finding } from './problems.ts';
import type { Written } from './written.ts';

const MUCH_BODY = 16 * 1024 * 1024;

export function crossWarnings(written: Written): readonly Finding[] {
  return [
    ...secretWarnings(written),
    ...forwardWarnings(written),
    ...reportWarnings(written),
    ...bodyWarnings(written),
    ...onceWarnings(written),
    ...trustWarnings(written),
  ];
}

/** True where some route, or `unmatched`, verifies. */
function verifies({ routes, unmatched }: Written): boolean {
  return unmatched === 'verify' || routes.some(({ value }) => value.action === 'verify');
}

function secretWarnings(written: Written): readonly Finding[] {
  if (written.secrets.length > 0 || !verifies(written)) return [];
  return [
    { path: ['secrets'], at: 'key', message: 'there are no secrets: every request to verify is answered with 503' },
  ];
}

const BEYOND =
  'an upstream that routes by query (?rest_route=, ?url=) or rewrites paths can be reached past every route';

function forwardWarnings({ routes, unmatched }: Written): readonly Finding[] {
  const found: Finding[] = [];
  if (unmatched === 'forward') {
    const message = `forward lets everything that no route takes through unverified, and ${BEYOND}; verify is safer`;
    found.push({ path: ['unmatched'], at: 'value', message });
  }
  for (const { path, value } of routes) {
    if (value.path !== '/*' || value.action !== 'forward') continue;
    const message = `a forward route for everything lets it through unverified, and ${BEYOND}`;
    found.push({ path: [...path, 'path'], at: 'value', message });
  }
  return found;
}

function reportWarnings({ routes }: Written): readonly Finding[] {
  return routes
    .filter(({ value }) => value.mode === 'report' && value.reportUntil === undefined)
    .map(({ path }): Finding => {
      const message = 'report forwards what verify would refuse, without an end; reportUntil sets one';
      return { path: [...path, 'mode'], at: 'value', message };
    });
}

function bodyWarnings({ limits, routes }: Written): readonly Finding[] {
  const found: Finding[] = [];
  const { bufferedBytes } = limits.value;
  for (const { path, value } of [limits, ...routes]) {
    const { maxBody } = value;
    if (maxBody === undefined) continue;
    const at = { path: [...path, 'maxBody'], at: 'value' } as const;
    if (maxBody > MUCH_BODY)
      found.push({ ...at, message: 'over 16MiB, and each body is held in memory until it is verified' });
    if (bufferedBytes !== 'auto' && maxBody > bufferedBytes) {
      found.push({
        ...at,
        message: 'larger than limits.bufferedBytes: the largest bodies are always answered with 503',
      });
    }
  }
  return found;
}

function onceWarnings({ once, routes }: Written): readonly Finding[] {
  const { store, passwordFile } = once.value;
  if (store === 'memory') {
    if (passwordFile === undefined) return [];
    return [{ path: ['once', 'passwordFile'], at: 'key', message: 'not read: store is memory' }];
  }
  if (routes.some(({ value }) => value.once !== undefined)) return [];
  return [{ path: ['once', 'store'], at: 'key', message: 'not used: no route has once' }];
}

function trustWarnings({ listen }: Written): readonly Finding[] {
  return listen.value.trustedProxies.flatMap((network, index): Finding[] => {
    if (!network.endsWith('/0')) return [];
    const message = 'every address: whoever sends X-Forwarded-For chooses the client that is logged';
    return [{ path: ['listen', 'trustedProxies', index], at: 'value', message }];
  });
}
