// Mode inject: what the rendered admission policies do to pods. An API server is not to be had here, so a CEL library
// evaluates the same expressions; the form of the policy was tried on Kubernetes 1.36.
import { beforeAll, describe, expect, test } from 'vitest';
import { type Admission, admissionOf } from '../support/admission.ts';
import { type Manifest, podSpec, proxyOf, template } from '../support/helm.ts';
import { typeProblems } from '../support/kubernetes-types.ts';
import { restrictedProblems } from '../support/pod-security.ts';
import { haveTools, TOOLS } from '../support/tools.ts';

const ready = haveTools('helm', `${TOOLS}/node_modules/@marcbachmann/cel-js`);
const LABEL = { 'entrupy-signature-proxy/inject': 'true' };

interface PodOptions {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly ports?: readonly object[];
  readonly initContainers?: readonly object[];
}

function podOf({ labels = LABEL, annotations, ports, initContainers }: PodOptions = {}): Manifest {
  const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
  const app = { name: 'app', image: 'legacy:1', securityContext, ...(ports !== undefined && { ports }) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'shop', labels, ...(annotations !== undefined && { annotations }) },
    spec: {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      ...(initContainers !== undefined && { initContainers }),
      containers: [app],
    },
  };
}

describe.skipIf(!ready)('the injection policy', () => {
  let admission: Admission;
  const envOf = (pod: Manifest) =>
    Object.fromEntries((proxyOf(podSpec(pod)).env ?? []).map(({ name, value }) => [name, value]));

  beforeAll(async () => {
    admission = await admissionOf(await template(['--set', 'mode=inject', '--kube-version', '1.36.0']));
  });

  test('a labelled pod gets the proxy first, as a sound and restricted native sidecar', async () => {
    const migrate = {
      name: 'migrate',
      image: 'legacy:1',
      securityContext: podSpec(podOf()).containers[0]?.securityContext,
    };
    const { pod, refusals } = admission.admit(podOf({ initContainers: [migrate], ports: [{ containerPort: 3000 }] }));
    expect(refusals).toEqual([]);
    const spec = podSpec(pod);
    expect(spec.initContainers?.map(({ name }) => name)).toEqual(['entrupy-signature-proxy', 'migrate']);
    expect(await typeProblems([{ from: 'injected', manifest: pod }])).toEqual([]);
    expect(restrictedProblems(spec)).toEqual([]);
  });

  test('the sidecar is the one that mode sidecar has, but for how it is told its ports', async () => {
    const injected = proxyOf(podSpec(admission.admit(podOf()).pod));
    const deployment = (await template([])).find(({ kind }) => kind === 'Deployment');
    if (deployment === undefined) throw new Error('no Deployment');
    const { env: _own, volumeMounts, ...sidecar } = proxyOf(podSpec(deployment));
    const { env: _injected, volumeMounts: mounts, ...rest } = injected;
    expect(rest).toEqual(sidecar);
    expect(new Set(mounts)).toEqual(new Set(volumeMounts));
  });

  test('without annotations it takes the first port and the names that the release has', () => {
    const { pod } = admission.admit(podOf({ ports: [{ containerPort: 5000 }, { containerPort: 6000 }] }));
    expect(envOf(pod)).toMatchObject({
      UPSTREAM_URL: 'http://127.0.0.1:5000',
      LISTEN_PORT: '8080',
      ADMIN_PORT: '9464',
    });
    expect(podSpec(pod).volumes).toEqual([
      { name: 'entrupy-secrets', secret: { secretName: 'entrupy-secrets', optional: true } },
      { name: 'entrupy-config', configMap: { name: 'entrupy-config' } },
    ]);
    expect(envOf(admission.admit(podOf()).pod)).toMatchObject({ UPSTREAM_URL: 'http://127.0.0.1:3000' });
  });

  test('annotations name the ports, the Secret and the ConfigMap', () => {
    const annotations = {
      'entrupy-signature-proxy/upstream-port': '8080',
      'entrupy-signature-proxy/listen-port': '8181',
      'entrupy-signature-proxy/secret': 'shop-keys',
      'entrupy-signature-proxy/config': 'shop-config',
    };
    const { pod, refusals } = admission.admit(podOf({ annotations }));
    expect(refusals).toEqual([]);
    expect(envOf(pod)).toMatchObject({ UPSTREAM_URL: 'http://127.0.0.1:8080', LISTEN_PORT: '8181' });
    expect(proxyOf(podSpec(pod)).ports).toMatchObject([{ name: 'traffic', containerPort: 8181 }, { name: 'admin' }]);
    expect(podSpec(pod).volumes).toMatchObject([
      { secret: { secretName: 'shop-keys' } },
      { configMap: { name: 'shop-config' } },
    ]);
  });

  test('the password of the store of once comes where the release or the pod names its Secret', async () => {
    const once = { 'entrupy-signature-proxy/once-secret': 'shop-valkey' };
    const { pod } = admission.admit(podOf({ annotations: once }));
    expect(podSpec(pod).volumes).toContainEqual({
      name: 'entrupy-once',
      secret: { secretName: 'shop-valkey', optional: true },
    });
    const mount = { name: 'entrupy-once', mountPath: '/etc/entrupy/once', readOnly: true };
    expect(proxyOf(podSpec(pod)).volumeMounts).toContainEqual(mount);
    expect(await typeProblems([{ from: 'injected', manifest: pod }])).toEqual([]);

    const set = ['--set', 'mode=inject', '--set', 'inject.onceSecret=valkey', '--kube-version', '1.36.0'];
    const release = await admissionOf(await template(set));
    expect(podSpec(release.admit(podOf()).pod).volumes).toContainEqual({
      name: 'entrupy-once',
      secret: { secretName: 'valkey', optional: true },
    });
  });

  test('a pod without the label is left alone; one that has the proxy is not given another', () => {
    const plain = podOf({ labels: { app: 'shop' } });
    expect(admission.admit(plain)).toEqual({ pod: plain, refusals: [] });
    const once = admission.admit(podOf()).pod;
    expect(admission.admit(once)).toEqual({ pod: once, refusals: [] });
  });

  test('the guard refuses a labelled pod that was not injected, or that only seems to be', () => {
    const refusal = /the sidecar was not injected/;
    expect(admission.judge(podOf()).join()).toMatch(refusal);
    const fake = podOf({ initContainers: [{ name: 'entrupy-signature-proxy', image: 'busybox' }] });
    expect(admission.admit(fake).refusals.join()).toMatch(refusal);
  });

  test('the guard refuses an app on a port of the proxy, and says what to do', () => {
    for (const containerPort of [8080, 9464]) {
      expect(admission.admit(podOf({ ports: [{ containerPort }] })).refusals.join()).toMatch(/listen-port/);
    }
  });
});
