// An upgrade from 0.1.0 or 0.2.0 keeps what runs.
// The packaged chart is installed by Helm, upgraded to this one and rolled back, against a minimal API server
// with just the parts that Helm needs. How a cluster acts on the objects is not tested here.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import {
  allContainers,
  CHART,
  HELMS,
  type Manifest,
  only,
  parseManifests,
  podSpec,
  set,
  template,
  tryTemplate,
  GATEWAY as VALUES_OF_A_GATEWAY,
  APP as VALUES_OF_AN_APP,
} from '../support/chart/helm.ts';
import { releaseBy } from '../support/chart/release.ts';
import { haveTools, mustRun, ROOT } from '../support/machine/tools.ts';

const ready = haveTools(...HELMS);
const OLD = `${ROOT}test/testdata/helm/entrupy-signature-proxy-0.1.0.tgz`;
const LAST = `${ROOT}test/testdata/helm/entrupy-signature-proxy-0.2.0.tgz`;
const VALUES = `${ROOT}test/testdata/helm/values-of-0.1.0`;
const GATEWAY = set(...VALUES_OF_A_GATEWAY);
const APP = set(...VALUES_OF_AN_APP);

describe.skipIf(!ready)('values of 0.1.0', async () => {
  const files = ready ? (await readdir(VALUES)).sort() : [];

  test.each(files)('%s renders the same images, and the same objects with the same names', async (name) => {
    const options = ['-f', join(VALUES, name), '--kube-version', name.startsWith('old') ? '1.29.0' : '1.36.0'];
    const [before, now] = await Promise.all([OLD, CHART].map((chart) => template(options, { chart })));
    expect(imagesOf(now ?? [])).toEqual(
      imagesOf(before ?? []).map((image) => image.replace(/:0\.1\.0$/, `:${manifest.version}`)),
    );
    // The parameters of the injection policy no longer exist.
    const names = (manifests: readonly Manifest[] = []) =>
      manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
    const injects = name.startsWith('inject');
    expect(names(now)).toEqual(names(before).filter((object) => !(injects && object.startsWith('ConfigMap'))));
  });

  test('every mode has values files', () => {
    for (const mode of ['sidecar', 'gateway', 'inject', 'library']) {
      expect(files.some((name) => name.startsWith(mode))).toBe(true);
    }
  });
});

/** Each image once: the pod of `helm test` had two containers. */
const imagesOf = (manifests: readonly Manifest[]): string[] => [
  ...new Set(
    manifests
      .filter(({ kind }) => ['Deployment', 'Pod'].includes(kind))
      .flatMap((object) => allContainers(podSpec(object)).map(({ image }) => image)),
  ),
];

describe.skipIf(!ready).each(HELMS)('an upgrade by %s', (helm) => {
  const { directory, place, env, api, ask, must, install, upgrade } = releaseBy(helm);
  const replicas = () => api().deployment('shop')?.spec?.replicas;
  const hasNumber = async () => /^ +replicas:/m.test(await must('get', 'manifest', 'shop'));

  test('a scaled app keeps its scale through every upgrade', async () => {
    await install(OLD, ...APP);
    expect(replicas()).toBe(1);
    api().scale('shop', 3);
    await upgrade(...APP);
    expect(replicas()).toBe(3);
    api().scale('shop', 5);
    await upgrade(...APP);
    expect(replicas()).toBe(5);
    api().scale('shop', 0);
    await upgrade(...APP);
    expect(replicas()).toBe(0);
  });

  test('a gateway never loses a pod when autoscaling is switched on', async () => {
    await install(OLD, ...GATEWAY);
    expect(replicas()).toBe(2);
    await upgrade(...GATEWAY, ...set('autoscaling.enabled=true'));
    expect(replicas()).toBe(2);
    api().scale('shop', 6);
    await upgrade(...GATEWAY, ...set('autoscaling.enabled=true', 'replicaCount=1'));
    expect(replicas()).toBe(6);
    await upgrade(...GATEWAY);
    expect(replicas()).toBe(6);
  });

  test('a first install sets two gateways, and leaves the number of sidecars to Kubernetes', async () => {
    await install(CHART, ...GATEWAY);
    expect(replicas()).toBe(2);
    await must('uninstall', 'shop');
    expect(await install(CHART, ...APP)).toMatch(/^Pods: +an upgrade or a rollback keeps the current number/m);
    expect(replicas()).toBe(1);
    expect(await hasNumber()).toBe(false);
  });

  test('--reset-then-reuse-values keeps values, and no new map needs its default', async () => {
    await install(OLD, ...APP, ...set('replicaCount=4', 'pdb.enabled=true'));
    const before = imagesOf(parseManifests(await must('get', 'manifest', 'shop')));
    for (const option of ['--reset-then-reuse-values', '--reuse-values']) {
      await upgrade(option);
      expect(imagesOf(parseManifests(await must('get', 'manifest', 'shop')))).toContain(before[1]);
      expect(replicas()).toBe(4);
      await must('rollback', 'shop', '1');
      expect(api().deployment('shop')?.metadata.labels?.['helm.sh/chart']).toBe('entrupy-signature-proxy-0.1.0');
      expect(replicas()).toBe(4);
    }
  });

  test('a rollback restores the objects of 0.1.0, including the number of pods', async () => {
    await install(OLD, ...APP);
    api().scale('shop', 3);
    await upgrade(...APP, ...set('minReadySeconds=5', 'revisionHistoryLimit=2'));
    expect(api().deployment('shop')?.spec).toMatchObject({ minReadySeconds: 5, revisionHistoryLimit: 2 });
    await must('rollback', 'shop', '1', ...(helm === 'helm' ? ['--force-conflicts'] : []));
    expect(replicas()).toBe(1);
    expect(api().deployment('shop')?.spec).not.toHaveProperty('minReadySeconds');
  });

  test('mode inject: the policy loses its parameters before the binding does', async () => {
    await install(OLD, ...set('mode=inject'));
    api().writes.length = 0;
    await upgrade(...set('mode=inject'));
    const order = api().writes.filter((write) => !write.endsWith(' Secret'));
    // An API server ignores the parameters of a binding whose policy takes none; the reverse is refused.
    expect(order.indexOf('PATCH MutatingAdmissionPolicy')).toBeLessThan(
      order.indexOf('PATCH MutatingAdmissionPolicyBinding'),
    );
    expect(order.indexOf('PATCH MutatingAdmissionPolicy')).toBeGreaterThanOrEqual(0);
    expect(order.at(-1)).toBe('DELETE ConfigMap');
  });

  describe('the number of pods', () => {
    const conflict = {
      code: 1,
      stderr: expect.stringMatching(/conflict with "kubectl" with subresource "scale".*replicas/),
    };
    const applies = helm === 'helm';

    test('of a scaled app is kept by upgrades and rollbacks, and is in no manifest', async () => {
      await install(CHART, ...APP);
      api().scale('shop', 5);
      await upgrade(...APP, ...set('minReadySeconds=5'));
      api().scale('shop', 7);
      await must('rollback', 'shop', '1');
      expect(replicas()).toBe(7);
      await must('rollback', 'shop', '2');
      expect(replicas()).toBe(7);
      expect(await hasNumber()).toBe(false);
    });

    test('that an autoscaler set is kept by upgrades and rollbacks, also once it is switched off', async () => {
      const scaled = (pods: number) => api().scale('shop', pods, 'kube-controller-manager');
      await install(CHART, ...GATEWAY, ...set('autoscaling.enabled=true'));
      scaled(2);
      await upgrade(...GATEWAY, ...set('autoscaling.enabled=true', 'minReadySeconds=5'));
      scaled(6);
      await must('rollback', 'shop', '1');
      expect(replicas()).toBe(6);
      await upgrade(...GATEWAY);
      expect(replicas()).toBe(6);
      expect(await hasNumber()).toBe(false);
    });

    test.each([2, 5])('is kept by an upgrade from 0.2.0, which wrote it into the manifest: %i', async (pods) => {
      await install(LAST, ...APP);
      api().scale('shop', pods);
      await must('upgrade', 'shop', LAST, '--disable-openapi-validation', ...APP);
      expect(await hasNumber()).toBe(true);
      await upgrade(...APP);
      expect(replicas()).toBe(pods);
      // Left out, it would become one: 0.2.0 has written it as Helm's own.
      expect(await hasNumber()).toBe(true);
      api().scale('shop', 7);
      await upgrade(...APP, ...set('minReadySeconds=5'));
      expect(replicas()).toBe(7);
      // On the server it is now whoever scaled that owns it; the differences that Helm 3 computes would remove it.
      expect(await hasNumber()).toBe(!applies);
      if (applies) expect(await ask('rollback', 'shop', '3')).toMatchObject(conflict);
      else {
        await must('rollback', 'shop', '3');
        expect(replicas()).toBe(pods);
      }
    });

    test('of an app that was scaled once 0.2.0 was installed is in no manifest from the first upgrade on', async () => {
      await install(LAST, ...APP);
      api().scale('shop', 5);
      await upgrade(...APP);
      expect(replicas()).toBe(5);
      expect(await hasNumber()).toBe(!applies);
      api().scale('shop', 7);
      await must('rollback', 'shop', '2');
      expect(replicas()).toBe(applies ? 7 : 5);
    });

    test('of one pod leaves the manifest with the first upgrade from 0.2.0', async () => {
      await install(LAST, ...APP);
      await must('upgrade', 'shop', LAST, '--disable-openapi-validation', ...APP);
      expect(await hasNumber()).toBe(true);
      await upgrade(...APP);
      expect([replicas(), await hasNumber()]).toEqual([1, false]);
      api().scale('shop', 4);
      await upgrade(...APP);
      await must('rollback', 'shop', '3');
      expect(replicas()).toBe(4);
    });

    test('of a gateway that nobody scaled stays through upgrades from 0.2.0, and rollbacks', async () => {
      await install(LAST, ...GATEWAY);
      for (const _time of [1, 2]) {
        await upgrade(...GATEWAY);
        expect(replicas()).toBe(2);
      }
      await must('rollback', 'shop', '1');
      expect(replicas()).toBe(2);
    });

    test('of a scaled gateway is kept by upgrades; a rollback to its first revision sets two again', async () => {
      await install(CHART, ...GATEWAY);
      api().scale('shop', 5);
      await upgrade(...GATEWAY);
      expect(replicas()).toBe(5);
      await upgrade(...GATEWAY);
      api().scale('shop', 6);
      if (applies) {
        await must('rollback', 'shop', '2');
        expect(replicas()).toBe(6);
        expect(await ask('rollback', 'shop', '1')).toMatchObject(conflict);
        await must('rollback', 'shop', '1', '--force-conflicts');
      } else {
        await must('rollback', 'shop', '1');
      }
      expect(replicas()).toBe(2);
    });

    test('that the values name is set, against whoever scaled only with --force-conflicts', async () => {
      await install(CHART, ...APP, ...set('replicaCount=3'));
      expect(replicas()).toBe(3);
      api().scale('shop', 5);
      const options = ['upgrade', 'shop', CHART, '--disable-openapi-validation', ...APP, ...set('replicaCount=2')];
      if (applies) {
        expect(await ask(...options)).toMatchObject(conflict);
        options.push('--force-conflicts');
      }
      await must(...options);
      expect(replicas()).toBe(2);
      await upgrade(...APP);
      expect(replicas()).toBe(2);
    });

    test.runIf(applies)('with --server-side=false falls to one if nobody says it, once', async () => {
      const client = (...options: readonly string[]) => upgrade('--server-side=false', ...GATEWAY, ...options);
      const start = async () => {
        await install(LAST, ...GATEWAY);
        api().scale('shop', 5);
      };
      await start();
      await client();
      expect(replicas()).toBe(1);
      await must('uninstall', 'shop');
      await start();
      await client(...set('replicaCount=5'));
      expect(replicas()).toBe(5);
      await client(...set('minReadySeconds=5'));
      expect(replicas()).toBe(5);
    });

    test('of a release that Helm 4 made is kept by Helm 3', async () => {
      await install(CHART, ...GATEWAY);
      api().scale('shop', 5);
      const options = [...place, '--disable-openapi-validation', ...GATEWAY];
      await mustRun('helm-3.17', ['upgrade', 'shop', CHART, ...options], { env });
      expect(replicas()).toBe(5);
    });
  });

  test('rendered without a cluster, the chart sets no number of sidecars, and two gateways', async () => {
    const spec = async (options: readonly string[]) => only(await template(options, { helm }), 'Deployment').spec;
    expect(await spec(APP)).not.toHaveProperty('replicas');
    expect(await spec(GATEWAY)).toHaveProperty('replicas', 2);
    expect(await spec([...GATEWAY, ...set('autoscaling.enabled=true')])).not.toHaveProperty('replicas');
    expect(await spec([...APP, ...set('replicaCount=3')])).toHaveProperty('replicas', 3);
    expect((await tryTemplate([...APP, ...set('replicaCount=null')], { helm })).code).toBe(0);
  });

  test('the notes sign with a key that the Secret has after a rotation', async () => {
    expect(await install(CHART, ...APP)).toContain('--secret-file /etc/entrupy/secrets/current)');
    await mustRun('kubectl', [...place, 'create', 'secret', 'generic', 'hook-keys', '--from-literal=next=abc']);
    expect(await upgrade(...APP)).toContain('--secret-file /etc/entrupy/secrets/next)');
    expect(await upgrade(...APP, ...set('test.secretKey=third'))).toContain(
      '--secret-file /etc/entrupy/secrets/third)',
    );
  });

  test('the notes print the queries of docs/rotation.md for this release alone', async () => {
    const page = await readFile(`${ROOT}docs/rotation.md`, 'utf8');
    const queries = [...page.matchAll(/^```promql\n(.*\{.*\}.*)\n```$/gm)].map(([, query = '']) => query);
    const [live = '', , retired = ''] = queries;
    expect(await install(CHART, ...APP)).not.toContain('entrupy_proxy_secret_live');
    const monitors = { podMonitor: 'shop/shop-signature-proxy', serviceMonitor: 'shop-signature-proxy-metrics' };
    for (const [monitor, job] of Object.entries(monitors)) {
      const notes = await upgrade(...APP, ...set(`metrics.${monitor}.enabled=true`));
      for (const query of [live, retired])
        expect(notes).toContain(`\n  ${query.replaceAll('shop/orders-signature-proxy', job)}\n`);
    }
  });

  test('the notes say what the pods that run will lack if an upgrade turns redelivery on', async () => {
    const route = set('config.routes[0].path=/notify', 'config.routes[0].redeliver=72h');
    const redis = set('config.redelivery.store=redis://valkey', 'config.redelivery.name=orders');
    const told = /^WARNING: redeliver is new here\. .* without (.*): they store nothing/m;
    const claim = [...APP, ...route, ...set('redelivery.size=1Gi')];
    expect(await install(CHART, ...claim)).not.toMatch(told);
    expect(await upgrade(...APP, ...route, ...redis, ...set('redelivery.existingSecret=valkey'))).toMatch(told);
    await upgrade(...APP);
    expect(told.exec(await upgrade(...claim))?.[1]).toBe('its volume');
    expect(await upgrade(...claim)).not.toMatch(told);
    expect(await upgrade(...APP, ...route, ...redis)).not.toMatch(told);
  });

  test('values of every mode survive --reuse-values', async () => {
    const names = ['sidecar-everything', 'gateway-everything', 'library', 'inject-everything', 'gateway-once'];
    for (const [name, from] of names.flatMap((name) => [OLD, LAST].map((from) => [name, from] as const))) {
      const file = join(VALUES, `${name}-values.yaml`);
      const old = await mustRun(helm, ['show', 'values', from]);
      // With --reuse-values this chart renders as if its defaults were those of the old one.
      const chart = join(directory, `chart-${helm}-${name}-${from === OLD}`);
      await mustRun('cp', ['-r', CHART, chart]);
      await writeFile(join(chart, 'values.yaml'), old);
      const { code, stderr } = await tryTemplate(['-f', file, '--kube-version', '1.36.0'], { helm, chart });
      expect({ name, from, code, stderr }).toEqual({ name, from, code: 0, stderr: '' });
    }
  });
});
