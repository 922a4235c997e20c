// The chart keeps what is deferred.
// Where deliveries wait that the app did not take: Redis, a claim of one pod, or an emptyDir that NOTES call lossy. What the
// chart refuses is in test/testdata/helm/bad.
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  APP,
  CHART,
  GATEWAY,
  type Manifest,
  notesOf,
  only,
  type PodSpec,
  podSpec,
  proxyOf,
  set,
  template,
} from '../support/chart/helm.ts';
import { haveTools } from '../support/machine/tools.ts';

const ready = haveTools('helm');
const ROUTE = 'config.routes[0].path=/notify,config.routes[0].redeliver=72h';
/** Never another type: Helm 4 cannot change it in a living release. */
const ONE_AT_A_TIME = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
const FOLDER = '/var/lib/entrupy-signature-proxy';

const rendered = (...values: readonly string[]) => template(set(...values));
const ci = (name: string) => template(['-f', `${CHART}/ci/${name}-values.yaml`]);
const volume = (spec: PodSpec) => spec.volumes?.find(({ name }) => name === 'entrupy-deferred');
const mount = (spec: PodSpec) => proxyOf(spec).volumeMounts?.find(({ name }) => name === 'entrupy-deferred');
const kinds = (manifests: readonly Manifest[]) => manifests.map(({ kind }) => kind);

describe.skipIf(!ready)('the chart', () => {
  test('without redelivery it has no claim, no volume, no group and its usual strategy', async () => {
    const manifests = await rendered(...APP);
    const { spec } = only(manifests, 'Deployment');
    expect(spec).not.toHaveProperty('strategy');
    expect(spec).not.toHaveProperty('replicas');
    const pod = podSpec(only(manifests, 'Deployment'));
    expect([volume(pod), mount(pod)]).toEqual([undefined, undefined]);
    expect(pod.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(kinds(manifests)).not.toContain('PersistentVolumeClaim');
  });

  test('a size makes a claim that outlives the release, for one pod at a time', async () => {
    const manifests = await ci('sidecar-redelivery');
    const claim = only(manifests, 'PersistentVolumeClaim');
    expect(claim.metadata.annotations).toEqual({
      'helm.sh/resource-policy': 'keep',
      'entrupy-signature-proxy/storage-class': 'fast',
      'example.com/backup': 'false',
    });
    expect(claim.spec).toEqual({
      accessModes: ['ReadWriteOncePod'],
      storageClassName: 'fast',
      resources: { requests: { storage: '1Gi' } },
    });
    const { spec } = only(manifests, 'Deployment');
    expect(spec).toMatchObject({ strategy: ONE_AT_A_TIME });
    expect(spec).not.toHaveProperty('replicas'); // one, unless somebody scales it
    const pod = podSpec(only(manifests, 'Deployment'));
    expect(volume(pod)).toMatchObject({ persistentVolumeClaim: { claimName: claim.metadata.name } });
    expect(mount(pod)).toEqual({ name: 'entrupy-deferred', mountPath: FOLDER });
    expect(pod.securityContext).toMatchObject({ fsGroup: 65532, runAsNonRoot: true });
    expect(proxyOf(pod).securityContext).toMatchObject({ readOnlyRootFilesystem: true, runAsUser: 65532 });
  });

  test("an existing claim is mounted where the store is, in a gateway of one pod, with the user's own group", async () => {
    const values = [ROUTE, ...GATEWAY, 'redelivery.existingClaim=kept', 'config.redelivery.store=/deferred'];
    const manifests = await rendered(...values, 'podSecurityContext.fsGroup=2000');
    expect(kinds(manifests)).not.toContain('PersistentVolumeClaim');
    expect(only(manifests, 'Deployment').spec).toMatchObject({ strategy: ONE_AT_A_TIME });
    expect(only(manifests, 'Deployment').spec).not.toHaveProperty('replicas');
    const pod = podSpec(only(manifests, 'Deployment'));
    expect(volume(pod)).toMatchObject({ persistentVolumeClaim: { claimName: 'kept' } });
    expect(mount(pod)).toMatchObject({ mountPath: '/deferred' });
    expect(pod.securityContext).toMatchObject({ fsGroup: 2000 });
  });

  test('a strategy of your own that starts no second pod replaces it', async () => {
    const strategy = async (...values: readonly string[]) =>
      only(await rendered(ROUTE, ...APP, 'redelivery.size=1Gi', ...values), 'Deployment').spec?.strategy;
    expect(await strategy('updateStrategy.type=Recreate')).toEqual({ type: 'Recreate' });
    const rolling = { maxSurge: '0%', maxUnavailable: '100%' };
    expect(await strategy('strategy.rollingUpdate.maxSurge=0%', 'strategy.rollingUpdate.maxUnavailable=100%')).toEqual({
      rollingUpdate: rolling,
    });
  });

  test('a sidecar of a route with redeliver is ready while its app does not listen; every other one waits for it', async () => {
    const ready = async (...values: readonly string[]) => {
      const text = only(await rendered(...values), 'ConfigMap').data?.['config.yaml'] ?? '';
      return (parse(text) as { admin: { readyNeedsUpstream: boolean } }).admin.readyNeedsUpstream;
    };
    expect(await ready(ROUTE, ...APP, 'redelivery.size=1Gi')).toBe(false);
    expect(await ready(ROUTE, ...APP, 'redelivery.size=1Gi', 'config.admin.readyNeedsUpstream=true')).toBe(true);
    expect(await ready(...APP)).toBe(true);
    expect(await notesOf(ROUTE, ...APP, 'redelivery.size=1Gi')).toMatch(
      /^WARNING: A sidecar gets nothing to store while the app's container/m,
    );
    expect(await notesOf(ROUTE, ...GATEWAY, 'replicaCount=1', 'redelivery.size=1Gi')).not.toContain(
      'A sidecar gets nothing to store',
    );
  });

  test('a file of another configuration gets the claim at the default path', async () => {
    const values = ['existingConfigMap=hooks', 'redelivery.size=1Gi', 'secret.existingSecret=hook-keys'];
    expect(mount(podSpec(only(await rendered(...values), 'Deployment')))).toMatchObject({ mountPath: FOLDER });
  });

  test('ephemeral is an emptyDir, which NOTES call lossy', async () => {
    const values = [ROUTE, ...APP, 'redelivery.ephemeral=true'];
    const manifests = await rendered(...values, 'replicaCount=3');
    expect(only(manifests, 'Deployment').spec).not.toHaveProperty('strategy');
    expect(volume(podSpec(only(manifests, 'Deployment')))).toEqual({ name: 'entrupy-deferred', emptyDir: {} });
    expect(await notesOf(...values)).toMatch(/^WARNING: redelivery.ephemeral is lossy: .* lost with the pod/m);
    const kept = await notesOf(ROUTE, ...APP, 'redelivery.size=1Gi');
    expect(kept).not.toContain('lossy');
    expect(kept).toMatch(/^WARNING: With a claim one pod ends before the next begins/m);
  });

  test('Redis has no volume, and several pods', async () => {
    const deployment = only(await ci('gateway-redelivery'), 'Deployment');
    expect(volume(podSpec(deployment))).toBeUndefined();
    expect(deployment.spec).toMatchObject({ replicas: 2 });
  });
});
