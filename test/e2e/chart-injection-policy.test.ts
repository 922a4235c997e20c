// Mode inject: how the rendered admission policies change pods. No API server is available here, so a CEL library
// evaluates the same expressions; the form of the policy was tried on Kubernetes 1.36.
import { beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { type Admission, admissionOf } from '../support/chart/admission.ts';
import { CHART, injecting, type Manifest, only, podSpec, proxyOf, template } from '../support/chart/helm.ts';
import { typeProblems } from '../support/chart/kubernetes-types.ts';
import { restrictedProblems } from '../support/chart/pod-security.ts';
import { haveTools, TOOLS } from '../support/machine/tools.ts';

const ready = haveTools('helm', `${TOOLS}/node_modules/@marcbachmann/cel-js`);
const LABEL = { 'entrupy-signature-proxy/inject': 'true' };

const VERSION = manifest.version;

/** A container for a test to break. */
type Loose = Record<string, unknown>;

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
    admission = await admissionOf(await injecting());
  });

  test('a labelled pod gets the proxy first, as a valid, restricted native sidecar', async () => {
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

  test('the sidecar is that of mode sidecar, except for how it gets its ports', async () => {
    const injected = proxyOf(podSpec(admission.admit(podOf()).pod));
    const deployment = only(await template([]), 'Deployment');
    const { env: _own, volumeMounts, ...sidecar } = proxyOf(podSpec(deployment));
    const { env: _injected, volumeMounts: mounts, ...rest } = injected;
    expect(rest).toEqual(sidecar);
    expect(new Set(mounts)).toEqual(new Set(volumeMounts));
  });

  test('without annotations it uses the first port and the names of the release', () => {
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

  test.each(['once', 'redelivery'])(
    'the password of the %s store is mounted if the release or the pod names its Secret',
    async (store) => {
      const secret = { name: `entrupy-${store}`, secret: { secretName: 'valkey', optional: true } };
      expect(podSpec(admission.admit(podOf()).pod).volumes).not.toContainEqual(secret);
      const annotations = { [`entrupy-signature-proxy/${store}-secret`]: 'valkey' };
      const { pod } = admission.admit(podOf({ annotations }));
      expect(podSpec(pod).volumes).toContainEqual(secret);
      const mount = { name: `entrupy-${store}`, mountPath: `/etc/entrupy/${store}`, readOnly: true };
      expect(proxyOf(podSpec(pod)).volumeMounts).toContainEqual(mount);
      expect(await typeProblems([{ from: 'injected', manifest: pod }])).toEqual([]);

      const both = await admissionOf(await injecting('inject.onceSecret=valkey', 'inject.redeliverySecret=valkey'));
      const { volumes } = podSpec(both.admit(podOf()).pod);
      expect(volumes).toContainEqual(secret);
      const names = ['entrupy-secrets', 'entrupy-config', 'entrupy-once', 'entrupy-redelivery'];
      expect(volumes?.map(({ name }) => name)).toEqual(names);
    },
  );

  test('a pod without the label is left alone; one that has the proxy gets no second one', () => {
    const plain = podOf({ labels: { app: 'shop' } });
    expect(admission.admit(plain)).toEqual({ pod: plain, refusals: [] });
    const once = admission.admit(podOf()).pod;
    expect(admission.admit(once)).toEqual({ pod: once, refusals: [] });
  });

  test('the guard refuses every label but "true" and "false", and names what it found', () => {
    for (const value of ['yes', 'True', 'enabled', '']) {
      const labelled = podOf({ labels: { 'entrupy-signature-proxy/inject': value } });
      const refusal = `the label entrupy-signature-proxy/inject is "${value}": give "true" for a pod that gets the proxy, "false" for one that does not`;
      expect(admission.admit(labelled)).toEqual({ pod: labelled, refusals: [refusal] });
    }
    const off = podOf({ labels: { 'entrupy-signature-proxy/inject': 'false' } });
    expect(admission.admit(off)).toEqual({ pod: off, refusals: [] });
  });

  test('an invalid port becomes the default, and the guard names the wrong annotation', () => {
    for (const bad of ['0', '65536', '99999999999999999999', '3000x', ' 80', '', '-1', '8080\n']) {
      for (const name of ['listen', 'upstream']) {
        const { pod, refusals } = admission.admit(
          podOf({ annotations: { [`entrupy-signature-proxy/${name}-port`]: bad } }),
        );
        expect(envOf(pod)).toMatchObject({ UPSTREAM_URL: 'http://127.0.0.1:3000', LISTEN_PORT: '8080' });
        const found = bad.includes('\n') ? 'not a port' : `"${bad}"`;
        expect(refusals).toEqual([
          `the annotation entrupy-signature-proxy/${name}-port is ${found}: use a number from 1 to 65535`,
        ]);
      }
    }
  });

  describe("a container by our name that is not the policy's", () => {
    const injected = () => structuredClone(proxyOf(podSpec(admission.admit(podOf()).pod))) as unknown as Loose;
    const refusalsOf = (change: (container: Loose) => void, annotations?: Record<string, string>) => {
      const container = injected();
      change(container);
      return admission.admit(podOf({ initContainers: [container], ...(annotations && { annotations }) })).refusals;
    };

    test('passes if it is as the policy makes it, also from a mirror and by digest', () => {
      expect(refusalsOf(() => {})).toEqual([]);
      for (const image of [
        'mirror.example.com:5000/cache/entrupy-signature-proxy:2',
        `entrupy-signature-proxy:0.1.0@sha256:${'0'.repeat(64)}`,
        `mirror.example.com/entrupy-signature-proxy@sha256:${'0'.repeat(64)}`,
      ]) {
        expect(
          refusalsOf((container) => Object.assign(container, { image })),
          image,
        ).toEqual([]);
      }
    });

    test.each<[string, (container: Loose) => void]>([
      ['runs once', (container) => delete container.restartPolicy],
      ['has another command', (container) => Object.assign(container, { command: ['/bin/sleep'] })],
      ['has no args', (container) => delete container.args],
      ['has other args', (container) => Object.assign(container, { args: ['demo', '--upstream-only'] })],
      ['has no ports', (container) => delete container.ports],
      [
        'gives its port another name',
        (container) => Object.assign(container, { ports: [{ name: 'http', containerPort: 8080 }] }),
      ],
    ])('is refused if it %s', (_what, change) => {
      expect(refusalsOf(change)).toEqual([expect.stringMatching(/is not the policy's .*: remove it/)]);
    });

    test('is refused if it leads anywhere but to the app', () => {
      const url = (value: string) => (container: Loose) =>
        Object.assign(container, { env: [...(container.env as object[]), { name: 'UPSTREAM_URL', value }] });
      const only = (value: string) => (container: Loose) =>
        Object.assign(container, { env: [{ name: 'UPSTREAM_URL', value }] });
      const refusal = [expect.stringMatching(/UPSTREAM_URL that is not the policy's/)];
      expect(refusalsOf((container) => delete container.env)).toEqual(refusal);
      expect(refusalsOf(url('http://elsewhere:80'))).toEqual(refusal);
      expect(refusalsOf(only('http://elsewhere:80'))).toEqual(refusal);
      expect(refusalsOf(only('http://127.0.0.1:3000'))).toEqual([]);
      const named = { 'entrupy-signature-proxy/upstream-port': '5000' };
      expect(refusalsOf(only('http://127.0.0.1:3000'), named)).toEqual(refusal);
      expect(refusalsOf(only('http://127.0.0.1:5000'), named)).toEqual([]);
    });

    test('is refused if its image has another name, unless a value allows it', async () => {
      const other = (container: Loose) => Object.assign(container, { image: 'registry.example.com/busybox:1' });
      expect(refusalsOf(other)).toEqual([expect.stringMatching(/whose name is not entrupy-.*checkImage=false/)]);
      const lax = await admissionOf(await injecting('inject.checkImage=false'));
      const container = injected();
      other(container);
      expect(lax.admit(podOf({ initContainers: [container] })).refusals).toEqual([]);
    });
  });

  test('names, probes and the image come from the release, without policy parameters', async () => {
    const values = `${CHART}/ci/inject-everything-values.yaml`;
    const manifests = await template(['-f', values, '--kube-version', '1.36.0']);
    expect(manifests.map(({ kind }) => kind).sort()).toEqual([
      'MutatingAdmissionPolicy',
      'MutatingAdmissionPolicyBinding',
      'ValidatingAdmissionPolicy',
      'ValidatingAdmissionPolicyBinding',
    ]);
    expect(JSON.stringify(manifests)).not.toMatch(/param(?:Kind|Ref|s\.data)/);
    const { pod, refusals } = (await admissionOf(manifests)).admit(podOf());
    expect(refusals).toEqual([]);
    expect(proxyOf(podSpec(pod))).toMatchObject({
      image: 'registry.example.com/hooks/proxy:0.1.0'.replace('0.1.0', VERSION),
      readinessProbe: { periodSeconds: 5, failureThreshold: 2 },
    });
    const ca = { name: 'NODE_EXTRA_CA_CERTS', value: '/etc/entrupy-signature-proxy/ca.crt' };
    expect(proxyOf(podSpec(pod)).env?.at(-1)).toEqual(ca);
    expect(podSpec(pod).volumes).toMatchObject([
      { secret: { secretName: 'hook-keys' } },
      { configMap: { name: 'hook-config' } },
      { secret: { secretName: 'valkey' } },
    ]);
  });

  test('the guard refuses an app on one of the proxy’s ports, and says what to do', () => {
    for (const containerPort of [8080, 9464]) {
      expect(admission.admit(podOf({ ports: [{ containerPort }] })).refusals.join()).toMatch(/listen-port/);
    }
  });
});
