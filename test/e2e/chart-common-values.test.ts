// Values with the names that `helm create` and the common charts use. That each changes what is rendered is in
// chart-modes.test.ts, that Kubernetes knows the place in chart-manifests.test.ts; here is what those do not see.
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  APP,
  CHART,
  GATEWAY,
  injecting,
  type Manifest,
  notesOf,
  only,
  parseManifests,
  podSpec,
  podTemplate,
  proxyOf,
  set,
  template,
} from '../support/chart/helm.ts';
import { haveTools, mustRun } from '../support/machine/tools.ts';

const ready = haveTools('helm');

const ci = (name: string) => template(['-f', `${CHART}/ci/${name}-values.yaml`]);
const deployment = async (...values: string[]) => only(await template(set(...values)), 'Deployment');
const images = async (...values: string[]) => {
  const { initContainers = [], containers } = podSpec(await deployment(...values));
  return [...initContainers, ...containers].map(({ image }) => image);
};

describe.skipIf(!ready)('the chart', () => {
  let common: Manifest[] = [];
  const named = (kind: string, end: string) =>
    common.find(({ kind: other, metadata }) => other === kind && metadata.name.endsWith(end));
  beforeAll(async () => {
    common = await ci('sidecar-common');
  });

  const IMAGES = {
    proxy: '',
    'r.example.com/hooks/proxy': 'registry=r.example.com,repository=hooks/proxy',
    // A trailing slash.
    'r.example.com/proxy': 'registry=r.example.com/',
    'b.example.com:5000/proxy': 'registry=a.example.com,global.imageRegistry=b.example.com:5000',
    // A host of its own: with dots, with a port, localhost; and no host.
    'r.example.net/proxy': 'registry=b.example.com,repository=r.example.net/proxy',
    'registry:5000/proxy': 'registry=b.example.com,repository=registry:5000/proxy',
    'localhost/proxy': 'registry=b.example.com,repository=localhost/proxy',
    'b.example.com/hooks/proxy.v2': 'registry=b.example.com,repository=hooks/proxy.v2',
  };
  test.each(Object.entries(IMAGES))(
    'a registry is prepended to a repository without one: %s',
    async (expected, given) => {
      const values = given === '' ? [] : given.split(',').map((value) => value.replace(/^r/, 'image.r'));
      expect(await images('image.repository=proxy', 'image.tag=t', ...values)).toEqual([
        `${expected}:t`,
        `${expected}:t`,
      ]);
    },
  );

  test("a registry is never prepended to the app's own image", async () => {
    expect(await images(...APP, 'global.imageRegistry=b.example.com', 'image.tag=t')).toEqual([
      'b.example.com/entrupy-signature-proxy:t',
      'legacy:1.2',
    ]);
  });

  test('pull secrets of the parent chart and of the image appear once each, as names or as objects', () => {
    const secrets = [{ name: 'parent' }, { name: 'other' }, { name: 'registry' }];
    for (const kind of ['Deployment', 'Pod'])
      expect(podSpec(only(common, kind))).toMatchObject({ imagePullSecrets: secrets });
  });

  test('namespaceOverride moves every object', () => {
    expect(common.length).toBeGreaterThan(6);
    for (const { kind, metadata } of common) expect({ kind, ...metadata }).toMatchObject({ namespace: 'orders' });
  });

  test('a service account is created on request, and none by default', async () => {
    expect(only(common, 'ServiceAccount')).toMatchObject({
      metadata: { name: 'orders', annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/orders' } },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'registry' }],
    });
    expect(podSpec(only(common, 'Deployment'))).toMatchObject({ serviceAccountName: 'orders' });
    const bare = await template([]);
    expect(bare.map(({ kind }) => kind)).not.toContain('ServiceAccount');
    expect(podSpec(only(bare, 'Deployment'))).not.toHaveProperty('serviceAccountName');
    const named = await template(set('serviceAccount.create=true'));
    expect(only(named, 'ServiceAccount').metadata.name).toBe('shop');
    expect(podSpec(only(named, 'Deployment'))).toMatchObject({ serviceAccountName: 'shop' });
  });

  test("helm test's pod runs where the proxy does", () => {
    const [proxy, pod] = ['Deployment', 'Pod'].map((kind) => new Map(Object.entries(podSpec(only(common, kind)))));
    expect(proxy?.get('runtimeClassName')).toBe('gvisor');
    for (const place of ['nodeSelector', 'tolerations', 'dnsConfig', 'runtimeClassName'])
      expect(pod?.get(place)).toEqual(proxy?.get(place));
  });

  test('names and variables may be templates, as in other charts', () => {
    const deployment = only(common, 'Deployment');
    expect(podSpec(deployment).volumes).toContainEqual({
      name: 'entrupy-secrets',
      secret: { secretName: 'shop-keys', optional: true },
    });
    // Nor does the pod of helm test wait for a Secret that is missing.
    const secret = { secretName: 'shop-keys', optional: true };
    expect(only(common, 'Pod').spec).toMatchObject({ activeDeadlineSeconds: 300, volumes: [{ secret }] });
    expect(proxyOf(podSpec(deployment)).env).toContainEqual({ name: 'REGION', value: 'shop' });
  });

  test('monitors, rules and dashboard may be in another namespace than the pods, which the monitors name', async () => {
    const pods = { namespaceSelector: { matchNames: ['shop'] } };
    const all = await ci('monitoring');
    expect(only(all, 'PodMonitor')).toMatchObject({ metadata: { namespace: 'monitoring' }, spec: pods });
    expect(only(all, 'PrometheusRule')).toMatchObject({ metadata: { namespace: 'monitoring' } });
    expect(all.find(({ metadata }) => metadata.name.endsWith('-dashboard'))).toMatchObject({
      metadata: { namespace: 'grafana' },
    });
    const hosts = await ci('gateway-hosts');
    expect(only(hosts, 'ServiceMonitor')).toMatchObject({ metadata: { namespace: 'monitoring' }, spec: pods });
    expect(only(common, 'ServiceMonitor').spec).not.toHaveProperty('namespaceSelector');
  });

  test("every object and pod has the common annotations, and an object's own go before them", async () => {
    for (const { kind, metadata } of common) {
      expect({ kind, ...metadata.annotations }).toMatchObject({ kind, 'example.com/contact': 'hooks' });
    }
    expect(podTemplate(only(common, 'Deployment')).metadata?.annotations).toHaveProperty(
      ['example.com/contact'],
      'hooks',
    );
    for (const { kind, metadata } of await injecting('commonAnnotations.a=b')) {
      expect({ kind, ...metadata }).toMatchObject({ kind, annotations: { a: 'b' } });
      expect(metadata).not.toHaveProperty('namespace');
    }
  });

  test("whoever asks for the release's pods does not get helm test's", () => {
    expect(only(common, 'Pod').metadata.labels).not.toHaveProperty(['app.kubernetes.io/instance']);
  });

  test("the Deployment's own labels, annotations and numbers do not reach its pods", () => {
    const { metadata, spec } = only(common, 'Deployment');
    expect(metadata.labels).toHaveProperty(['example.com/tier'], 'backend');
    expect(metadata.annotations).toMatchObject({ 'example.com/owner': 'shop' });
    expect(spec).toMatchObject({ revisionHistoryLimit: 3, minReadySeconds: 0 });
    const pods = podTemplate(only(common, 'Deployment')).metadata;
    expect(pods?.labels).not.toHaveProperty(['example.com/tier']);
    expect(pods?.annotations).toHaveProperty(['example.com/owner'], 'nobody');
  });

  test("the proxy's probes keep their endpoints, and their numbers can be changed", () => {
    expect(proxyOf(podSpec(only(common, 'Deployment')))).toMatchObject({
      startupProbe: { httpGet: { path: '/startz', port: 'admin' }, periodSeconds: 2, failureThreshold: 90 },
      readinessProbe: {
        httpGet: { path: '/readyz', port: 'admin' },
        periodSeconds: 2,
        timeoutSeconds: 3,
        successThreshold: 2,
      },
      livenessProbe: { httpGet: { path: '/livez', port: 'admin' }, periodSeconds: 10, initialDelaySeconds: 5 },
    });
  });

  test("the app's own preStop replaces the sleep; another hook keeps it", async () => {
    const lifecycle = async (...values: string[]) =>
      podSpec(await deployment(...APP, ...values)).containers[0]?.lifecycle;
    expect(podSpec(only(common, 'Deployment')).containers[0]?.lifecycle).toEqual({
      postStart: { exec: { command: ['/bin/legacy', 'warm'] } },
      preStop: { exec: { command: ['/bin/legacy', 'drain', '10s'] } },
    });
    const sleep = (seconds: number) => ({ sleep: { seconds } });
    expect(await lifecycle()).toEqual({ preStop: sleep(5) });
    expect(await lifecycle('app.preStopSleepSeconds=9')).toEqual({ preStop: sleep(9) });
    expect(await lifecycle('config.shutdown.delay=7500ms')).toEqual({ preStop: sleep(8) });
    expect(await lifecycle('config.shutdown.delay=0s')).toBeUndefined();
    expect(await lifecycle('app.lifecycle.postStart.exec.command[0]=/warm')).toEqual({
      postStart: { exec: { command: ['/warm'] } },
      preStop: sleep(5),
    });
    // The app's own preStop may take any time: the sleep is not checked.
    expect(await lifecycle('app.preStopSleepSeconds=1', 'app.lifecycle.preStop.sleep.seconds=9')).toEqual({
      preStop: sleep(9),
    });
  });

  test('the demo app listens on loopback only, and the notes do not warn about it', async () => {
    const app = podSpec(await deployment()).containers[0];
    expect(app?.args).toEqual(['demo', '--upstream-only', '--port', '3000', '--host', '127.0.0.1']);
    const notes = await notesOf();
    expect(notes).toMatch(/^WARNING: This is the demo/m);
    expect(notes).toContain('Rotate:');
    expect(notes).not.toContain('listens on more than');
    expect(await notesOf(...APP)).toContain('WARNING: If the app listens on more than 127.0.0.1');
  });

  test('a ServiceMonitor has its own headless Service, which includes pods that are not ready: no other leads to the admin port', async () => {
    expect(named('Service', 'shop')?.spec?.ports).toMatchObject([{ name: 'http', targetPort: 'traffic' }]);
    expect(Object.keys(only(await template([]), 'Service').spec ?? {}).sort()).toEqual(['ports', 'selector', 'type']);
    const metrics = named('Service', '-metrics');
    expect(metrics?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(metrics?.spec?.ports).toMatchObject([{ name: 'admin', port: 9464, targetPort: 'admin' }]);
    const monitor = only(common, 'ServiceMonitor');
    expect(monitor.metadata.labels).toHaveProperty('release', 'kps');
    const { selector, endpoints } = monitor.spec as { selector: { matchLabels: object }; endpoints: object };
    expect(metrics?.metadata.labels).toMatchObject(selector.matchLabels);
    expect(named('Service', 'shop')?.metadata.labels).not.toHaveProperty(['app.kubernetes.io/component']);
    expect(endpoints).toEqual([
      {
        ...{ port: 'admin', path: '/metrics', interval: '30s', scrapeTimeout: '10s' },
        relabelings: [{ sourceLabels: ['__meta_kubernetes_pod_node_name'], targetLabel: 'node' }],
        metricRelabelings: [{ sourceLabels: ['__name__'], regex: 'nodejs_.*', action: 'drop' }],
      },
    ]);
  });

  test('an Ingress takes several hosts with paths; the short form renders the same', async () => {
    const path = (pathType: string, path: string) => expect.objectContaining({ pathType, path });
    expect(only(await ci('gateway-hosts'), 'Ingress').spec).toMatchObject({
      rules: [
        { host: 'hooks.example.com', http: { paths: [path('Exact', '/notify'), path('Prefix', '/webhooks')] } },
        { host: 'hooks.example.org', http: { paths: [path('Prefix', '/')] } },
      ],
      tls: [{ secretName: 'shop-tls', hosts: ['hooks.example.com', 'hooks.example.org'] }],
    });
    const spec = async (...values: string[]) =>
      only(await template(set(...GATEWAY, 'ingress.enabled=true', ...values)), 'Ingress').spec;
    expect(await spec('ingress.host=h.example.com', 'ingress.path=/a', 'ingress.tlsSecret=t')).toEqual(
      await spec(
        'ingress.hosts[0].host=h.example.com',
        'ingress.hosts[0].paths[0].path=/a',
        'ingress.tls[0].secretName=t',
        'ingress.tls[0].hosts[0]=h.example.com',
      ),
    );
  });

  test('what a feature takes reaches its object; the autoscaler scales by the CPU of one thread', async () => {
    const exposed = { labels: { 'example.com/exposed': 'true' } };
    const [hosts, everything] = [await ci('gateway-hosts'), await ci('gateway-everything')];
    expect(only(hosts, 'Ingress')).toMatchObject({ metadata: exposed });
    expect(only(hosts, 'PodDisruptionBudget').spec).toMatchObject({ unhealthyPodEvictionPolicy: 'IfHealthyBudget' });
    expect(only(hosts, 'HorizontalPodAutoscaler').spec).toMatchObject({
      behavior: { scaleDown: { stabilizationWindowSeconds: 600 } },
      metrics: [{ resource: { name: 'memory', target: { averageUtilization: 80 } } }],
    });
    expect(only(everything, 'PodDisruptionBudget').spec).toMatchObject({ unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    expect(only(everything, 'HTTPRoute')).toMatchObject({
      metadata: exposed,
      spec: { rules: [{ filters: [{ type: 'RequestHeaderModifier' }], timeouts: { request: '60s' } }] },
    });
    const usual = await template(set(...GATEWAY, 'autoscaling.enabled=true'));
    expect(only(usual, 'HorizontalPodAutoscaler').spec).toMatchObject({
      metrics: [{ resource: { target: { type: 'AverageValue', averageValue: '700m' } } }],
    });
  });

  test('a release with a dot in its name gets a Service that Kubernetes accepts', async () => {
    const manifests = parseManifests(await mustRun('helm', ['template', 'my.shop', CHART]));
    expect(only(manifests, 'Service').metadata.name).toBe('my-shop');
    expect(podSpec(only(manifests, 'Pod')).containers[0]?.args).toContain('http://my-shop:80/notify');
    // Labels keep the release's own name, by which monitors and notes select.
    expect(only(manifests, 'Deployment').metadata.labels).toHaveProperty(['app.kubernetes.io/instance'], 'my.shop');
  });

  describe('rules and dashboard', () => {
    const dashboardOf = (manifests: readonly Manifest[]) => {
      const map = manifests.find(({ metadata }) => metadata.name.endsWith('-dashboard'));
      const [[file = '', text = '{}'] = []] = Object.entries(map?.data ?? {});
      return {
        file,
        text,
        dashboard: JSON.parse(text) as Record<'uid' | 'title', string> & { links: Record<'title' | 'url', string>[] },
      };
    };
    const RULES = ['metrics.rules.enabled=true', 'metrics.dashboard.enabled=true'];

    test('mode monitoring renders only them, without a proxy, and addresses only if they are given', async () => {
      const without = await template(set('mode=monitoring'));
      expect(without.map(({ kind }) => kind).sort()).toEqual(['ConfigMap', 'PrometheusRule']);
      expect(JSON.stringify(only(without, 'PrometheusRule'))).not.toMatch(/runbook_url|dashboard_url|https?:/);
      expect(dashboardOf(without).text).not.toMatch(/https?:/);
      expect(dashboardOf(without).text).toContain('Runbook: docs/alerts.md#');
      const given = await ci('mode-monitoring');
      expect(JSON.stringify(only(given, 'PrometheusRule'))).toContain(
        '"dashboard_url":"https://grafana.example.com/d/entrupy-signature-proxy"',
      );
      const { text, dashboard } = dashboardOf(given);
      expect(text).not.toMatch(/(?<!hooks\/)docs\/alerts\.md/);
      expect(text).toContain('hooks/docs/alerts.md#');
      expect(dashboard.links.map(({ title, url }) => `${title}: ${url}`)).toEqual([
        'Metrics: https://git.example.com/hooks/docs/metrics.md',
        'Runbook: https://git.example.com/hooks/docs/alerts.md',
      ]);
    });

    test('with or without addresses they are exactly the rules that promtool tests', async () => {
      const file = await readFile(`${CHART}/files/rules.yaml`, 'utf8');
      const named = (runbook: string) =>
        parse(file.replaceAll(/runbook(?:_url)?: \S*alerts\.md#/g, runbook)) as unknown;
      const rendered = async (...values: string[]) =>
        only(await template(set('mode=monitoring', ...values)), 'PrometheusRule').spec;
      expect(await rendered('metrics.docsUrl=https://git.example.com/docs/')).toEqual(
        named('runbook_url: https://git.example.com/docs/alerts.md#'),
      );
      expect(await rendered()).toEqual(named('runbook: docs/alerts.md#'));
    });

    test('dashboards of two releases share neither uid nor file, and keep both across upgrades', async () => {
      const of = async (release: string, namespace: string) => {
        const text = await mustRun('helm', ['template', release, CHART, '--namespace', namespace, ...set(...RULES)]);
        const { file, dashboard } = dashboardOf(parseManifests(text));
        expect(dashboard.uid.length).toBeLessThanOrEqual(40);
        return `${file} ${dashboard.uid} ${dashboard.title}`;
      };
      const [a, b, c, again] = [await of('a', 'x'), await of('b', 'x'), await of('a', 'y'), await of('a', 'x')];
      expect(new Set([a, b, c]).size).toBe(3);
      expect(again).toBe(a);
      expect(dashboardOf(await template(set('mode=monitoring'))).dashboard.uid).toBe('entrupy-signature-proxy');
    });
  });
});
