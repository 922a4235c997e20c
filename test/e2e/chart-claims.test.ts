// Installed, upgraded and rolled back by Helm, against an API server that has the rules of Kubernetes for a Deployment's
// strategy, for the owners of fields, and for claims.
import { describe, expect, test } from 'vitest';
import { APP, CHART, GATEWAY, HELMS, set } from '../support/chart/helm.ts';
import { releaseBy } from '../support/chart/release.ts';
import { haveTools, ROOT } from '../support/machine/tools.ts';

const LAST = `${ROOT}test/testdata/helm/entrupy-signature-proxy-0.2.0.tgz`;
const CLAIM = 'shop-signature-proxy-deferred';
const OURS = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
const USUAL = { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } };

const KINDS = { sidecar: APP, gateway: [...GATEWAY, 'replicaCount=1'] };
const ROUTE = ['config.routes[0].path=/notify', 'config.routes[0].redeliver=72h'];
const STORES = {
  none: [],
  'none, of 0.2.0': [],
  claim: [...ROUTE, 'redelivery.size=1Gi'],
  'claim of a class': [...ROUTE, 'redelivery.size=1Gi', 'redelivery.storageClass=fast'],
  Redis: [...ROUTE, 'config.redelivery.store=redis://valkey', 'config.redelivery.name=orders'],
};

describe.skipIf(!haveTools(...HELMS)).each(HELMS)('by %s', (helm) => {
  const { api, ask, must, install, upgrade } = releaseBy(helm);
  const now = () => {
    const { strategy, template } = (api().deployment('shop')?.spec ?? {}) as {
      readonly strategy: object;
      readonly template: { readonly spec: { readonly volumes: readonly object[] } };
    };
    return { strategy, claimed: JSON.stringify(template.spec.volumes).includes(CLAIM) };
  };
  /** Back to the second revision, whose values these are, after a rollback to the first. */
  const forth = async (values: readonly string[], first: keyof typeof STORES) => {
    if (helm === 'helm' || first.startsWith('claim')) return must('rollback', 'shop', '2');
    // Helm 3 does not take back a claim that it kept when a manifest without it came; an upgrade does.
    expect(await ask('rollback', 'shop', '2')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`no PersistentVolumeClaim with the name "${CLAIM}" found`),
    });
    await upgrade(...values);
  };
  const state = (store: keyof typeof STORES) =>
    store.startsWith('claim') ? { strategy: OURS, claimed: true } : { strategy: USUAL, claimed: false };

  const pairs = [
    ['none', 'claim'],
    ['none, of 0.2.0', 'claim'],
    ['claim', 'none'],
    ['claim', 'Redis'],
    ['claim of a class', 'Redis'],
    ['Redis', 'claim'],
  ] as const;
  const cases = Object.keys(KINDS).flatMap((kind) =>
    pairs.map(([from, to]) => [kind as keyof typeof KINDS, from, to] as const),
  );

  test.each(cases)('a %s goes from %s to %s, and back, and forth again', async (kind, from, to) => {
    const [before, after] = [from, to].map((store) => set(...KINDS[kind], ...STORES[store])) as [string[], string[]];
    await install(from.endsWith('0.2.0') ? LAST : CHART, ...before);
    expect(now()).toEqual(state(from));
    await upgrade(...after);
    expect(now()).toEqual(state(to));
    await must('rollback', 'shop', '1');
    expect(now()).toEqual(state(from));
    await forth(after, from);
    expect(now()).toEqual(state(to));
    await upgrade(...before);
    expect(now()).toEqual(state(from));
    // What is deferred outlives every change, and the release.
    expect(api().claim(CLAIM)?.spec).toMatchObject({ resources: { requests: { storage: '1Gi' } } });
    await must('uninstall', 'shop');
    expect(api().claim(CLAIM)).toBeDefined();
  });

  test('a claim of another release with this name is not taken over', async () => {
    await install(CHART, ...set(...APP, ...STORES.claim));
    await must('uninstall', 'shop');
    const values = set('fullnameOverride=shop', ...APP);
    await must('install', 'other', CHART, '--disable-openapi-validation', ...values);
    expect(api().claim(CLAIM)?.metadata.annotations).toMatchObject({ 'meta.helm.sh/release-name': 'shop' });
  });
});
