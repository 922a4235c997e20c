// The chart keeps what is deferred.
// Where deliveries wait that the app did not take: Redis, a claim of one pod, or an emptyDir that NOTES call lossy. What the
// chart refuses is in test/testdata/helm/bad.
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { admissionOf } from '../support/chart/admission.ts';
import {
  CHART,
  type Manifest,
  notesOf,
  only,
  type PodSpec,
  podSpec,
  proxyOf,
  set,
  template,
} from '../support/chart/helm.ts';
import { typeProblems } from '../support/chart/kubernetes-types.ts';
import { haveTools, TOOLS } from '../support/machine/tools.ts';

const ready = haveTools('helm', `${TOOLS}/node_modules/kubernetes-models`);
const ROUTE = 'config.routes[0].path=/notify,config.routes[0].redeliver=72h';
const APP = [ROUTE, 'app.image=legacy:1.2', 'secret.existingSecret=hook-keys'];
const GATEWAY = [ROUTE, 'mode=gateway', 'upstream.url=http://legacy', 'secret.existingSecret=hook-keys'];
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
    const manifests = await rendered('app.image=legacy:1.2', 'secret.existingSecret=hook-keys');
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
    const values = [...GATEWAY, 'redelivery.existingClaim=kept', 'config.redelivery.store=/deferred'];
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
      only(await rendered(...APP, 'redelivery.size=1Gi', ...values), 'Deployment').spec?.strategy;
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
    expect(await ready(...APP, 'redelivery.size=1Gi')).toBe(false);
    expect(await ready(...APP, 'redelivery.size=1Gi', 'config.admin.readyNeedsUpstream=true')).toBe(true);
    expect(await ready('app.image=legacy:1.2', 'secret.existingSecret=hook-keys')).toBe(true);
    expect(await notesOf(...APP, 'redelivery.size=1Gi')).toMatch(
      /^WARNING: A sidecar gets nothing to store while the app's container/m,
    );
    expect(await notesOf(...GATEWAY, 'replicaCount=1', 'redelivery.size=1Gi')).not.toContain(
      'A sidecar gets nothing to store',
    );
  });

  test('a file of another configuration gets the claim at the default path', async () => {
    const values = ['existingConfigMap=hooks', 'redelivery.size=1Gi', 'secret.existingSecret=hook-keys'];
    expect(mount(podSpec(only(await rendered(...values), 'Deployment')))).toMatchObject({ mountPath: FOLDER });
  });

  test('ephemeral is an emptyDir, which NOTES call lossy', async () => {
    const values = [...APP, 'redelivery.ephemeral=true'];
    const manifests = await rendered(...values, 'replicaCount=3');
    expect(only(manifests, 'Deployment').spec).not.toHaveProperty('strategy');
    expect(volume(podSpec(only(manifests, 'Deployment')))).toEqual({ name: 'entrupy-deferred', emptyDir: {} });
    expect(await notesOf(...values)).toMatch(/^WARNING: redelivery.ephemeral is lossy: .* lost with the pod/m);
    const kept = await notesOf(...APP, 'redelivery.size=1Gi');
    expect(kept).not.toContain('lossy');
    expect(kept).toMatch(/^WARNING: With a claim one pod ends before the next begins/m);
  });

  test('Redis has no volume, its password is a file in a mounted directory, and egress leads to its port', async () => {
    const manifests = await ci('gateway-redelivery');
    const { redelivery } = parse(only(manifests, 'ConfigMap').data?.['config.yaml'] ?? '') as { redelivery: object };
    expect(redelivery).toEqual({
      store: 'rediss://hooks@valkey.shop.svc:6390/1',
      name: 'orders',
      passwordFile: '/etc/entrupy/redelivery/password',
    });
    const pod = podSpec(only(manifests, 'Deployment'));
    expect(volume(pod)).toBeUndefined();
    const secret = { secretName: 'valkey', optional: true, items: [{ key: 'valkey-password', path: 'password' }] };
    expect(pod.volumes).toContainEqual({ name: 'entrupy-redelivery', secret });
    expect(proxyOf(pod).volumeMounts).toContainEqual({
      ...{ name: 'entrupy-redelivery', mountPath: '/etc/entrupy/redelivery', readOnly: true },
    });
    expect(only(manifests, 'Deployment').spec).toMatchObject({ replicas: 2 });
    expect(only(manifests, 'NetworkPolicy').spec?.egress).toMatchObject([
      { ports: [{ port: 53 }] },
      { ports: [{ port: 6380 }] },
      { ports: [{ port: 6390 }] },
    ]);
  });

  test('injected pods get the password of the store if the release or the pod names its Secret', async () => {
    const release = async (...values: readonly string[]) =>
      admissionOf(await template([...set('mode=inject', ...values), '--kube-version', '1.36.0']));
    const pod = (annotations: Record<string, string> = {}): Manifest => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'shop', labels: { 'entrupy-signature-proxy/inject': 'true' }, annotations },
      spec: { containers: [{ name: 'app', image: 'legacy:1' }] },
    });
    const secretOf = (manifest: Manifest) =>
      podSpec(manifest).volumes?.find(({ name }) => name === 'entrupy-redelivery')?.secret;
    const bare = await release();
    expect(secretOf(bare.admit(pod()).pod)).toBeUndefined();
    const named = bare.admit(pod({ 'entrupy-signature-proxy/redelivery-secret': 'valkey' })).pod;
    expect(secretOf(named)).toEqual({ secretName: 'valkey', optional: true });
    expect(proxyOf(podSpec(named)).volumeMounts).toContainEqual({
      ...{ name: 'entrupy-redelivery', mountPath: '/etc/entrupy/redelivery', readOnly: true },
    });
    expect(await typeProblems([{ from: 'injected', manifest: named }])).toEqual([]);
    const both = await release('inject.redeliverySecret=valkey', 'inject.onceSecret=valkey');
    expect(secretOf(both.admit(pod()).pod)).toEqual({ secretName: 'valkey', optional: true });
    expect(podSpec(both.admit(pod()).pod).volumes?.map(({ name }) => name)).toEqual([
      ...['entrupy-secrets', 'entrupy-config', 'entrupy-once', 'entrupy-redelivery'],
    ]);
  });
});
