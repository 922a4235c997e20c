// Every mode and switch of the chart, rendered by real Helm and checked against the types of Kubernetes, the proxy's
// own check-config, promtool and the "restricted" Pod Security rules. One wrong values file for each rule is in
// test/testdata/helm/bad: its first lines hold the expected error from Helm.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  allContainers,
  CHART,
  GATEWAY,
  HELMS,
  type Manifest,
  notesOf,
  only,
  podSpec,
  proxyOf,
  set,
  template,
  tryTemplate,
  valuesFiles,
} from '../support/chart/helm.ts';
import { typeProblems } from '../support/chart/kubernetes-types.ts';
import { restrictedProblems } from '../support/chart/pod-security.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools, mustRun, ROOT, TOOLS } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';

const ready = haveTools(...HELMS, 'promtool', `${TOOLS}/node_modules/kubernetes-models`);
const files = valuesFiles(`${CHART}/ci`);
const wrongFiles = valuesFiles(`${ROOT}test/testdata/helm/bad`);
const rendered = new Map<string, Manifest[]>();
const directory = ownDirectory();

/** The demo's own secret is generated at each rendering; docs/kubernetes.md says what to set instead. */
const withoutMadeUpSecrets = (manifests: readonly Manifest[]): readonly Manifest[] =>
  manifests.map((manifest) => (manifest.kind === 'Secret' ? { ...manifest, data: {} } : manifest));

const all = () => [...rendered].flatMap(([from, manifests]) => manifests.map((manifest) => ({ from, manifest })));
const workloads = () => all().filter(({ manifest }) => ['Deployment', 'Pod'].includes(manifest.kind));
const of = (name: string) => rendered.get(`${name}-values.yaml`) ?? [];

describe.skipIf(!ready)('the chart', () => {
  beforeAll(async () => {
    for (const { name, options } of files) rendered.set(name, await template(options));
  });

  test.each(files)(
    'helm lint --strict passes with $name, and both Helms render the same',
    async ({ name, options }) => {
      for (const helm of HELMS)
        expect(await mustRun(helm, ['lint', '--strict', CHART, ...options])).toContain('0 chart(s) failed');
      const [now, before] = await Promise.all(HELMS.map((helm) => template(options, { helm })));
      expect(withoutMadeUpSecrets(before ?? [])).toEqual(withoutMadeUpSecrets(now ?? []));
      // Argo CD and Flux compare bytes.
      expect(withoutMadeUpSecrets(await template(options))).toEqual(withoutMadeUpSecrets(rendered.get(name) ?? []));
    },
  );

  test('every object is known to Kubernetes, field by field', async () => {
    expect(all().length).toBeGreaterThan(40);
    expect(await typeProblems(all())).toEqual([]);
  });

  test('every pod meets "restricted" Pod Security and mounts no token', () => {
    expect(workloads().length).toBeGreaterThan(10);
    for (const { from, manifest } of workloads()) {
      const spec = podSpec(manifest);
      // Hardening the user's own containers is up to the user.
      const ours = allContainers(spec).filter(({ name }) => !['migrate', 'helper'].includes(name));
      expect(restrictedProblems({ ...spec, initContainers: [], containers: ours }), from).toEqual([]);
      expect(spec.enableServiceLinks, from).toBe(from.startsWith('sidecar-common') && manifest.kind === 'Deployment');
      if (!from.startsWith('sidecar-everything')) expect(spec.automountServiceAccountToken, from).toBe(false);
    }
  });

  test('secrets are mounted as whole directories, never put in the environment or by subPath', () => {
    for (const { from, manifest } of workloads()) {
      for (const { env = [], volumeMounts = [] } of allContainers(podSpec(manifest))) {
        expect(JSON.stringify(env), from).not.toContain('secretKeyRef');
        expect(JSON.stringify(volumeMounts), from).not.toContain('subPath');
      }
    }
  });

  test('the proxy accepts every rendered configuration', async () => {
    const configs = all().flatMap(({ from, manifest }) => {
      const text = manifest.kind === 'ConfigMap' ? manifest.data?.['config.yaml'] : undefined;
      return text === undefined ? [] : [{ from, text }];
    });
    expect(configs.length).toBeGreaterThan(6);
    for (const { from, text } of configs) {
      const file = join(directory, `${from}.config.yaml`);
      await writeFile(file, text);
      const { code, stderr } = await runCommand(['check-config', '--config', file, '--no-secrets']);
      expect({ from, code, stderr }).toEqual({ from, code: 0, stderr: '' });
    }
  });

  test('the rendered rules pass promtool and the dashboard is JSON', async () => {
    for (const name of ['monitoring', 'library', 'mode-monitoring']) {
      const file = join(directory, `${name}.rules.json`);
      await writeFile(file, JSON.stringify(only(of(name), 'PrometheusRule').spec));
      expect(await mustRun('promtool', ['check', 'rules', file])).toContain('SUCCESS');
      const dashboard = of(name).find(({ metadata }) => metadata.labels?.grafana_dashboard === '1');
      expect(JSON.parse(Object.values(dashboard?.data ?? {})[0] ?? '')).toHaveProperty('panels');
    }
  });

  test('the drain recipe is there: preStop drains, the app sleeps', () => {
    const spec = podSpec(only(of('sidecar-app'), 'Deployment'));
    const proxy = proxyOf(spec);
    expect(spec.initContainers?.[0]).toBe(proxy);
    expect(proxy.restartPolicy).toBe('Always');
    expect(proxy.lifecycle).toEqual({ preStop: { httpGet: { path: '/-/drain', port: 'admin' } } });
    expect(spec.containers[0]?.lifecycle).toEqual({ preStop: { sleep: { seconds: 5 } } });
    expect(spec.terminationGracePeriodSeconds).toBe(45);
    expect(podSpec(only(of('old-kubernetes'), 'Deployment')).containers[0]?.lifecycle).toBeUndefined();
  });

  test('a sidecar waits for its app and checks for a way around the proxy; a gateway does neither', () => {
    const config = (name: string) => parse(only(of(name), 'ConfigMap').data?.['config.yaml'] ?? '') as object;
    expect(config('sidecar-app')).toMatchObject({
      admin: { readyNeedsUpstream: true },
      upstream: { url: 'http://127.0.0.1:3000', checkExposure: true },
      secrets: [{ directory: '/etc/entrupy/secrets' }],
      unmatched: 'reject',
    });
    expect(config('gateway')).toMatchObject({
      admin: { readyNeedsUpstream: false },
      upstream: { url: 'http://legacy.shop.svc:8080', checkExposure: false },
    });
    const { env = [] } = proxyOf(podSpec(only(of('sidecar-app'), 'Deployment')));
    // With the default of its apiVersion: otherwise a server-side apply over a client-side one conflicts.
    const fieldRef = { apiVersion: 'v1', fieldPath: 'status.podIP' };
    expect(env).toContainEqual({ name: 'POD_IP', valueFrom: { fieldRef } });
  });

  test('the Service leads to the proxy, whatever its port', () => {
    const everything = of('sidecar-everything');
    expect(only(everything, 'Service').spec?.ports).toMatchObject([{ port: 443, targetPort: 'traffic' }]);
    expect(proxyOf(podSpec(only(everything, 'Deployment'))).ports).toMatchObject([
      { name: 'traffic', containerPort: 8181 },
      { name: 'admin', containerPort: 9999 },
    ]);
  });

  test.each([
    ['once', { store: 'redis://valkey.shop.svc:6380/0' }, 'valkey'],
    ['redelivery', { store: 'rediss://hooks@valkey.shop.svc:6390/1', name: 'orders' }, 'shop-valkey'],
  ])(
    'the password of the %s store is a file in a mounted directory, and the config names it',
    (store, given, secretName) => {
      const manifests = of(`gateway-${store}`);
      const config = parse(only(manifests, 'ConfigMap').data?.['config.yaml'] ?? '') as Readonly<
        Record<string, object>
      >;
      expect(config[store]).toMatchObject({ ...given, passwordFile: `/etc/entrupy/${store}/password` });
      const spec = podSpec(only(manifests, 'Deployment'));
      const secret = { secretName, optional: true, items: [{ key: 'valkey-password', path: 'password' }] };
      expect(spec.volumes).toContainEqual({ name: `entrupy-${store}`, secret });
      const mount = { name: `entrupy-${store}`, mountPath: `/etc/entrupy/${store}`, readOnly: true };
      expect(proxyOf(spec).volumeMounts).toContainEqual(mount);
    },
  );

  test('names that YAML 1.1 reads as something else stay names', async () => {
    const objects = [
      'networkPolicy.enabled=true,pdb.enabled=true,serviceAccount.create=true',
      'networkPolicy.metricsFrom[0].podSelector.matchLabels.a=b',
      'metrics.podMonitor.enabled=true,ingress.enabled=true',
    ];
    const names = ['ingress.host=h.example.com,ingress.className=on', 'upstream.url=http://a,secret.existingSecret=on'];
    const whole = [...objects, ...names];
    const modes = Object.entries({ sidecar: whole, gateway: whole, library: names, inject: [], monitoring: [] });
    for (const [name, mode, values] of ['y', 'on', 'no', 'null', '1e3', '0x1f'].flatMap((name) =>
      modes.map(([mode, values]) => [name, mode, [`mode=${mode}`, ...values]] as const),
    )) {
      if (/^\d/.test(name) && ['sidecar', 'gateway'].includes(mode)) continue; // No name for a Service.
      const options = ['--namespace', name, '--kube-version', '1.36.0', ...set(...values)];
      const text = await mustRun('helm', ['template', name, CHART, ...options]);
      const wrong = text.match(/^[ -]*[\w./]*(?:[nN]ame|namespace|instance): (?:y|on|no|null|1e3|0x1f)$/gm);
      expect({ name, mode, wrong }).toEqual({ name, mode, wrong: null });
    }
  });

  test('a NetworkPolicy names ports by number: Calico did not find the names of init containers', () => {
    const { ingress } = only(of('sidecar-everything'), 'NetworkPolicy').spec as { ingress: { ports: object[] }[] };
    expect(ingress.map(({ ports }) => ports)).toEqual([
      [{ port: 8181, protocol: 'TCP' }],
      [{ port: 9999, protocol: 'TCP' }],
    ]);
  });

  test('egress rules include the ports of the stores', () => {
    const rules = (name: string) => only(of(name), 'NetworkPolicy').spec?.egress;
    const [dns, once] = [{ ports: [{ port: 53, protocol: 'UDP' }] }, { ports: [{ port: 6380, protocol: 'TCP' }] }];
    expect(rules('gateway-once')).toMatchObject([dns, once]);
    expect(rules('gateway-redelivery')).toMatchObject([dns, once, { ports: [{ port: 6390 }] }]);
    expect(rules('sidecar-everything')).toHaveLength(1);
    expect(rules('gateway-everything')).toBeUndefined();
  });

  test('NOTES warn when several pods each have their own memory store', async () => {
    const warns = async (...values: string[]) => {
      return /^WARNING: Each pod remembers only its own deliveries/m.test(await notesOf(...values));
    };
    const once = 'config.routes[0].path=/notify,config.routes[0].once=1h';
    expect(await warns(once)).toBe(false);
    expect(await warns(once, 'replicaCount=2')).toBe(true);
    expect(await warns(once, 'replicaCount=2', 'config.once.store=redis://valkey')).toBe(false);
    expect(await warns('replicaCount=2')).toBe(false);
    expect(await warns(once, ...GATEWAY)).toBe(true);
    expect(await warns(once, ...GATEWAY, 'replicaCount=1')).toBe(false);
    expect(await warns(once, ...GATEWAY, 'autoscaling.enabled=true,autoscaling.minReplicas=1')).toBe(true);
  });

  test.each(HELMS)(
    'helm test of %s: one container sends both requests for a minute, to the first enforcing route',
    async (helm) => {
      const probeOf = async (name: string) => {
        const pod = only(await template(['-f', `${CHART}/ci/${name}-values.yaml`], { helm }), 'Pod');
        expect(pod.metadata.annotations).toMatchObject({ 'helm.sh/hook-delete-policy': 'before-hook-creation' });
        expect(allContainers(podSpec(pod))).toHaveLength(1);
        return podSpec(pod).containers[0];
      };
      const probe = await probeOf('sidecar-app');
      const expected = ['--expect-not', '401', '--expect-unsigned', '401', '--wait', '1m'];
      const secrets = '/etc/entrupy/secrets/hook-keys';
      // With each key in turn: a rotation removes `current`.
      const args = ['probe', '--url', 'http://shop:80/notify', '--secret-file', secrets, ...expected];
      expect(probe?.args).toEqual(args);
      expect(probe?.volumeMounts).toMatchObject([{ name: 'entrupy-secrets', mountPath: secrets }]);
      expect((await probeOf('gateway-everything'))?.args).toContain(`${secrets}/current`);
    },
  );

  test('values.yaml shows exactly the values that the schema allows', async () => {
    const schema = JSON.parse(await mustRun('cat', [`${CHART}/values.schema.json`])) as Schema;
    const values = parse(await mustRun('cat', [`${CHART}/values.yaml`])) as Readonly<Record<string, unknown>>;
    const allowed = keyPaths(schema).filter((key) => !['global', 'imagePullSecrets'].includes(key));
    expect(valuePaths(values, new Set(allowed)).sort()).toEqual(allowed.sort());
  });

  test.each(wrongFiles)(
    'both Helms refuse $name, the newer one with its expected sentence',
    async ({ text, options }) => {
      const expected = [...text.matchAll(/^# expect: (.*)$/gm)].map(([, sentence = '']) =>
        sentence.replaceAll('\\n', '\n'),
      );
      expect(expected.length).toBeGreaterThan(0);
      for (const helm of HELMS) {
        const { code, stderr } = await tryTemplate(options, { helm });
        expect(code).not.toBe(0);
        // Helm 3 says in other words what its schema refuses.
        const sentences = expected.filter((sentence) => helm === 'helm' || !sentence.startsWith("at '"));
        for (const sentence of sentences) expect(stderr).toContain(sentence);
        // An error may say what is wrong with a secret, never its value.
        expect(stderr).not.toMatch(/hunter2|0123456789abcdef0123456789abcdef/);
      }
    },
  );
});

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
}

const keyPaths = ({ properties = {} }: Schema): string[] =>
  Object.entries(properties).flatMap(([name, child]) =>
    child.properties === undefined || name === 'resources' ? [name] : keyPaths(child).map((key) => `${name}.${key}`),
  );

function valuePaths(value: Readonly<Record<string, unknown>>, known: ReadonlySet<string>, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, child]) => {
    const key = `${prefix}${name}`;
    if (known.has(key) || typeof child !== 'object' || child === null || Array.isArray(child)) return [key];
    return valuePaths(child as Readonly<Record<string, unknown>>, known, `${key}.`);
  });
}
