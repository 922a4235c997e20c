// The chart restarts pods for exactly what a process cannot reload.
// A running process reloads most of its configuration. For the rest the chart changes an annotation, so the pods
// restart. Too few restarts would leave a change without effect; too many would make every change a rollout.
import { describe, expect, test } from 'vitest';
import { RESTART_ONLY } from '../../src/runtime/restart-only.ts';
import { set, template } from '../support/chart/helm.ts';
import { haveTools } from '../support/machine/tools.ts';

const ANNOTATION = 'entrupy-signature-proxy/restart-only';

/** Another value for each key, as `--set`. */
const OTHER: Readonly<Record<string, string>> = {
  'listen.host': '0.0.0.0',
  'listen.port': '8081',
  'admin.host': '0.0.0.0',
  'admin.port': '9465',
  'upstream.connections': '7',
  'upstream.connectTimeout': '3s',
  'upstream.retryConnectFor': '9s',
  'upstream.keepAlive': '3s',
};

const RELOADED = [
  'listen.keepAlive=80s',
  'limits.maxHeader=8KiB',
  'limits.connections=9',
  'upstream.responseTimeout=9s',
  'shutdown.grace=9s',
  'log.level=debug',
];

async function restartMark(...values: readonly string[]): Promise<string> {
  const manifests = await template(set('mode=gateway', ...values));
  const deployment = manifests.find(({ kind }) => kind === 'Deployment');
  if (deployment === undefined) throw new Error('the chart rendered no Deployment');
  const { annotations } = (deployment.spec as { template: { metadata: { annotations: Record<string, string> } } })
    .template.metadata;
  return annotations[ANNOTATION] ?? '';
}

/** A key's change as `--set` values. */
function changeOf(key: string): string[] {
  if (key === 'listen.tls') return ['config.listen.tls.certFile=/a', 'config.listen.tls.keyFile=/b'];
  if (key === 'once') return ['config.once.maxEntries=5000'];
  if (key === 'redelivery') return ['config.redelivery.maxBytes=9MiB'];
  if (key === 'upstream.url') return ['upstream.url=http://other:80'];
  return [`config.${key}=${OTHER[key]}`];
}

describe.skipIf(!haveTools('helm'))('the pods restart', () => {
  const base = ['upstream.url=http://app:80', 'secret.existingSecret=keys'];

  test.each(RESTART_ONLY.map(([key]) => key))('when %s changes', async (key) => {
    const changed = await restartMark(...base, ...changeOf(key));
    expect(changed).toMatch(/^[\da-f]{16}$/);
    expect(changed).not.toBe(await restartMark(...base));
  });

  test.each(RELOADED)('not for %s, which a reload applies', async (value) => {
    expect(await restartMark(...base, `config.${value}`)).toBe(await restartMark(...base));
  });
});
