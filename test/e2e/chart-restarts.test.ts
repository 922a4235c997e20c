// A running process reloads most of its configuration. For the rest the chart changes an annotation, so the pods
// restart. Too few restarts would leave a change without effect; too many would make every change a rollout.
import { describe, expect, test } from 'vitest';
import { RESTART_ONLY } from '../../src/runtime/ruleset.ts';
import { only, podTemplate, set, template } from '../support/chart/helm.ts';
import { haveTools } from '../support/machine/tools.ts';

const ANNOTATION = 'entrupy-signature-proxy/restart-only';
const CONFIG = 'entrupy-signature-proxy/config';

/** Another value for each key. */
const OTHER: Readonly<Record<string, readonly string[]>> = {
  'listen.host': ['config.listen.host=0.0.0.0'],
  'listen.port': ['config.listen.port=8081'],
  'listen.tls': ['config.listen.tls.certFile=/a', 'config.listen.tls.keyFile=/b'],
  'admin.host': ['config.admin.host=0.0.0.0'],
  'admin.port': ['config.admin.port=9465'],
  'upstream.url': ['upstream.url=http://other:80'],
  'upstream.connections': ['config.upstream.connections=7'],
  'upstream.connectTimeout': ['config.upstream.connectTimeout=3s'],
  'upstream.keepAlive': ['config.upstream.keepAlive=3s'],
  once: ['config.once.maxEntries=5000'],
  redelivery: ['config.redelivery.maxBytes=9MiB'],
};
const RELOADED = [
  'routes[0].path=/a,config.routes[0].redeliver=1h',
  ...['listen.keepAlive=80s', 'limits.maxHeader=8KiB', 'limits.connections=9', 'upstream.retryConnectFor=9s'],
  ...['upstream.responseTimeout=9s', 'shutdown.grace=9s', 'log.level=debug'],
];

describe.skipIf(!haveTools('helm'))('the pods restart', () => {
  const redelivery = 'config.redelivery.store=redis://redis,config.redelivery.name=app';
  const base = ['mode=gateway', 'upstream.url=http://app:80', 'secret.existingSecret=keys', redelivery];
  const mark = async (annotation: string, ...values: readonly string[]) => {
    const deployment = only(await template(set(...base, ...values)), 'Deployment');
    return podTemplate(deployment).metadata?.annotations?.[annotation] ?? '';
  };

  test.each(RESTART_ONLY.map(([key]) => key))('when %s changes', async (key) => {
    const changed = await mark(ANNOTATION, ...(OTHER[key] ?? []));
    expect(changed).toMatch(/^[\da-f]{16}$/);
    expect(changed).not.toBe(await mark(ANNOTATION));
  });

  test('at every change with rollOnChange', async () => {
    const [two, three] = [2, 3].map((mib) => mark(CONFIG, 'rollOnChange=true', `config.limits.maxBody=${mib}MiB`));
    expect(await two).toMatch(/./);
    expect(await two).not.toBe(await three);
  });

  test.each(RELOADED)('not for %s, which a reload applies', async (value) => {
    expect(await mark(ANNOTATION, `config.${value}`)).toBe(await mark(ANNOTATION));
  });
});
