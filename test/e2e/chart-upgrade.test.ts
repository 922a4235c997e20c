// The packaged chart is installed by Helm, upgraded to this one and rolled back, against a minimal API server
// with just the parts that Helm needs. How a cluster acts on the objects is not tested here.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import {
  allContainers,
  CHART,
  HELMS,
  type Manifest,
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
/** Of the values files of this chart (helm/ci), those that 0.1.0 takes, too, and those that it took in another form. */
const SAME = [
  ...['gateway', 'gateway-existing-config', 'inject', 'library', 'old-kubernetes', 'sidecar-app', 'sidecar-classic'],
  ...['sidecar-demo', 'sidecar-everything'],
];
const OTHERS = ['gateway-everything', 'inject-everything', 'monitoring'];
const fileOf = (name: string) =>
  `${OTHERS.includes(name) ? `${ROOT}test/testdata/helm/values-of-0.1.0` : `${CHART}/ci`}/${name}-values.yaml`;
const GATEWAY = set(...VALUES_OF_A_GATEWAY);
const APP = set(...VALUES_OF_AN_APP);
const CHARTS: Readonly<Record<string, string>> = { '0.1.0': OLD, '0.2.0': LAST };
const KINDS: Readonly<Record<string, readonly string[]>> = { app: APP, gateway: GATEWAY };
const [AUTO, FORCE, CLIENT] = ['autoscaling.enabled=true', '--force-conflicts', '--server-side=false'];

describe.skipIf(!ready)('values of 0.1.0', () => {
  test.each([...SAME, ...OTHERS])(
    '%s renders the same images, and the same objects with the same names',
    async (name) => {
      const options = ['-f', fileOf(name), '--kube-version', name.startsWith('old') ? '1.29.0' : '1.36.0'];
      const [before, now] = await Promise.all([OLD, CHART].map((chart) => template(options, { chart })));
      expect(imagesOf(now ?? [])).toEqual(
        imagesOf(before ?? []).map((image) => image.replace(/:0\.1\.0$/, `:${manifest.version}`)),
      );
      // The parameters of the injection policy no longer exist.
      const names = (manifests: readonly Manifest[] = []) =>
        manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
      const injects = name.startsWith('inject');
      expect(names(now)).toEqual(names(before).filter((object) => !(injects && object.startsWith('ConfigMap'))));
    },
  );
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
  const conflict = {
    code: 1,
    stderr: expect.stringMatching(/conflict with "kubectl" with subresource "scale".*replicas/),
  };
  // Each step of a story changes the release or the number of its pods. `= 3, named`: so many there are then, and the
  // manifest of the release has their number; `!`: Helm is refused. Helm 4 applies, Helm 3 sends the differences that it
  // computes: what is otherwise with it stands behind a bar.
  const stories: Readonly<Record<string, readonly string[]>> = {
    'an app that is scaled keeps its scale through every upgrade from 0.1.0': [
      ...[
        'install 0.1.0 app = 1',
        'scale 3',
        'upgrade app = 3',
        'scale 5',
        'upgrade app = 5',
        'scale 0',
        'upgrade app = 0',
      ],
    ],
    'a gateway never loses a pod when autoscaling is switched on': [
      ...['install 0.1.0 gateway = 2', `upgrade gateway ${AUTO} = 2`, 'scale 6'],
      ...[`upgrade gateway ${AUTO} replicaCount=1 = 6`, 'upgrade gateway = 6'],
    ],
    'a first install sets two gateways, and leaves the number of sidecars to Kubernetes': [
      ...['install now gateway = 2, named', 'uninstall', 'install now app replicaCount=null = 1, unnamed'],
    ],
    'the number of a scaled app is kept by upgrades and rollbacks, and is in no manifest': [
      ...['install now app', 'scale 5', 'upgrade app minReadySeconds=5', 'scale 7', 'rollback 1 = 7'],
      'rollback 2 = 7, unnamed',
    ],
    'that an autoscaler set is kept by upgrades and rollbacks, also once it is switched off': [
      ...[`install now gateway ${AUTO}`, 'autoscale 2', `upgrade gateway ${AUTO} minReadySeconds=5`, 'autoscale 6'],
      ...['rollback 1 = 6', 'upgrade gateway = 6, unnamed'],
    ],
    // Left out, the number would become one: 0.2.0 has written it as Helm's own. On the server whoever scaled owns it then.
    ...Object.fromEntries(
      [2, 5].map((pods) => [
        `is kept by an upgrade from 0.2.0, which wrote it into the manifest: ${pods}`,
        [
          ...['install 0.2.0 app', `scale ${pods}`, `to 0.2.0 app = ${pods}, named`, `upgrade app = ${pods}, named`],
          ...['scale 7', 'upgrade app minReadySeconds=5 = 7, unnamed | = 7, named', `rollback 3 ! | = ${pods}`],
        ],
      ]),
    ),
    'of an app that was scaled once 0.2.0 was installed is in no manifest from the first upgrade on': [
      ...['install 0.2.0 app', 'scale 5', 'upgrade app = 5, unnamed | = 5, named', 'scale 7', 'rollback 2 = 7 | = 5'],
    ],
    'of one pod leaves the manifest with the first upgrade from 0.2.0': [
      ...['install 0.2.0 app', 'to 0.2.0 app = 1, named', 'upgrade app = 1, unnamed', 'scale 4', 'upgrade app'],
      'rollback 3 = 4',
    ],
    'of a gateway that nobody scaled stays through upgrades from 0.2.0, and rollbacks': [
      ...['install 0.2.0 gateway', 'upgrade gateway = 2', 'upgrade gateway = 2', 'rollback 1 = 2'],
    ],
    'of a scaled gateway is kept by upgrades; a rollback to its first revision sets two again': [
      ...['install now gateway', 'scale 5', 'upgrade gateway = 5', 'upgrade gateway', 'scale 6'],
      ...['rollback 2 = 6 | = 5', 'rollback 1 ! | = 2', `rollback 1 ${FORCE} = 2 | = 2`],
    ],
    'that the values name is set, against whoever scaled only with --force-conflicts': [
      ...['install now app replicaCount=3 = 3', 'scale 5', 'upgrade app replicaCount=2 ! | = 2'],
      ...[`upgrade app replicaCount=2 ${FORCE} = 2 | = 2`, 'upgrade app = 2'],
    ],
    'with --server-side=false falls to one if nobody says it, once': [
      ...['install 0.2.0 gateway', 'scale 5', `upgrade gateway ${CLIENT} = 1 | = 5`, 'uninstall'],
      ...['install 0.2.0 gateway', 'scale 5', `upgrade gateway ${CLIENT} replicaCount=5 = 5`],
      `upgrade gateway ${CLIENT} minReadySeconds=5 = 5`,
    ],
    'of a release that Helm 4 made is kept by Helm 3': ['install now gateway', 'scale 5', 'helm3 now gateway = 5'],
  };

  const play = async (step: string) => {
    const [first = '', other] = step.split(' | ');
    const [, command = '', usual = ''] = /^(.*?)(?: ([=!].*))?$/.exec(first) ?? [];
    const ends = helm === 'helm' ? usual : (other ?? usual);
    const [verb = '', what = '', ...words] = command.split(' ');
    const options = words.flatMap((word) => {
      if (word.startsWith('--')) return helm === 'helm' ? [word] : [];
      return KINDS[word] ?? set(word);
    });
    const chart = [CHARTS[what] ?? CHART, '--disable-openapi-validation', ...(KINDS[what] ?? []), ...options];
    const steps: Readonly<Record<string, () => unknown>> = {
      scale: () => api().scale('shop', Number(what)),
      autoscale: () => api().scale('shop', Number(what), 'kube-controller-manager'),
      helm3: () => mustRun('helm-3.17', ['upgrade', 'shop', ...chart, ...place], { env }),
    };
    const args = { install: chart, to: chart, upgrade: chart, rollback: [what, ...options] }[verb] ?? [];
    const said = [verb === 'to' ? 'upgrade' : verb, 'shop', ...args];
    if (ends === '!') return expect({ step, ...(await ask(...said)) }).toMatchObject(conflict);
    await (steps[verb] ?? (() => must(...said)))();
    const [, pods, named] = /^= (\d+)(?:, (\w+))?/.exec(ends) ?? [];
    if (pods !== undefined) expect([step, replicas()]).toEqual([step, Number(pods)]);
    if (named !== undefined) expect([step, await hasNumber()]).toEqual([step, named === 'named']);
  };
  test.each(Object.entries(stories))('%s', async (_, steps) => {
    for (const step of steps) await play(step);
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

  test('the notes sign with a key that the Secret has after a rotation', async () => {
    const notes = await install(CHART, ...APP);
    expect(notes).toMatch(/^Pods: +an upgrade or a rollback keeps the current number/m);
    expect(notes).toContain('--secret-file /etc/entrupy/secrets/current)');
    await mustRun('kubectl', [...place, 'create', 'secret', 'generic', 'hook-keys', '--from-literal=next=abc']);
    expect(await upgrade(...APP)).toContain('--secret-file /etc/entrupy/secrets/next)');
    expect(await upgrade(...APP, ...set('test.secretKey=last'))).toContain('--secret-file /etc/entrupy/secrets/last)');
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
    const names = ['sidecar-everything', 'gateway-everything', 'library', 'inject-everything'];
    for (const [name, from] of names.flatMap((name) => [OLD, LAST].map((from) => [name, from] as const))) {
      const old = await mustRun(helm, ['show', 'values', from]);
      // With --reuse-values this chart renders as if its defaults were those of the old one.
      const chart = join(directory, `chart-${helm}-${name}-${from === OLD}`);
      await mustRun('cp', ['-r', CHART, chart]);
      await writeFile(join(chart, 'values.yaml'), old);
      const { code, stderr } = await tryTemplate(['-f', fileOf(name), '--kube-version', '1.36.0'], { helm, chart });
      expect({ name, from, code, stderr }).toEqual({ name, from, code: 0, stderr: '' });
    }
  });
});
