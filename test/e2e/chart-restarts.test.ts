// The chart restarts pods for exactly what a process cannot reload.
// A running process reloads most of its configuration. For the rest the chart changes an annotation, so the pods
// restart. Too few restarts would leave a change without effect; too many would make every change a rollout.
import { describe, expect, test } from 'vitest';
import { RESTART_ONLY } from '../../src/runtime/ruleset.ts';
import { only, podTemplate, set, template } from '../support/chart/helm.ts';
import { haveTools } from '../support/machine/tools.ts';

const ANNOTATION = 'entrupy-signature-proxy/restart-only';
const CONFIG = 'entrupy-signature-proxy/config';

/** Another value for each key, as `--set`. */
const OTHER: Readonly<Record<string, string>> = {
  'listen.host': '0.0.0.0',
  'listen.port': '8081',
  'admin.host': '0.0.0.0',
  'admin.port': '9465',
  'upstream.connections': '7',
  'upstream.connectTimeout': '3s',
  'upstream.keepAlive': '3s',
};

const RELOADED = [
  'routes[0].path=/a,config.routes[0].redeliver=1h',
  'listen.keepAlive=80s',
  'limits.maxHeader=8KiB',
  'limits.connections=9',
  'upstream.retryConnectFor=9s',
  'upstream.responseTimeout=9s',
  'shutdown.grace=9s',
  'log.level=debug',
];

async function annotationsOf(...values: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const manifests = await template(set('mode=gateway', ...values));
  return podTemplate(only(manifests, 'Deployment')).metadata?.annotations ?? {};
}

const restartMark = async (...values: readonly string[]) => (await annotationsOf(...values))[ANNOTATION] ?? '';

/** A key's change as `--set` values. */
function changeOf(key: string): string[] {
  if (key === 'listen.tls') return ['config.listen.tls.certFile=/a', 'config.listen.tls.keyFile=/b'];
  if (key === 'once') return ['config.once.maxEntries=5000'];
  if (key === 'redelivery') return ['config.redelivery.maxBytes=9MiB'];
  if (key === 'upstream.url') return ['upstream.url=http://other:80'];
  return [`config.${key}=${OTHER[key]}`];
}

describe.skipIf(!haveTools('helm'))('the pods restart', () => {
  const redelivery = 'config.redelivery.store=redis://redis,config.redelivery.name=app';
  const base = ['upstream.url=http://app:80', 'secret.existingSecret=keys', redelivery];

  test.each(RESTART_ONLY.map(([key]) => key))('when %s changes', async (key) => {
    const changed = await restartMark(...base, ...changeOf(key));
    expect(changed).toMatch(/^[\da-f]{16}$/);
    expect(changed).not.toBe(await restartMark(...base));
  });

  test('at every change with rollOnChange', async () => {
    const mark = async (limit: string) =>
      (await annotationsOf(...base, 'rollOnChange=true', `config.limits.maxBody=${limit}`))[CONFIG];
    expect(await mark('2MiB')).toMatch(/./);
    expect(await mark('2MiB')).not.toBe(await mark('3MiB'));
  });

  test.each(RELOADED)('not for %s, which a reload applies', async (value) => {
    expect(await restartMark(...base, `config.${value}`)).toBe(await restartMark(...base));
  });
});
