// The chart's one table says which mode uses which value. Here each value of it is set in each mode: it changes what is
// rendered, or Helm refuses it and says what to do instead.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHART, HELMS, tryTemplate } from '../support/chart/helm.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools } from '../support/machine/tools.ts';

const MODES = ['sidecar', 'gateway', 'inject', 'library', 'monitoring'] as const;
type Mode = (typeof MODES)[number];
type Values = Readonly<Record<string, unknown>>;

const [, table = ''] =
  /^\{\{- define "entrupy-signature-proxy\.modes" -\}\}\n([\s\S]*?)^\{\{- end/m.exec(
    readFileSync(`${CHART}/templates/_modes.tpl`, 'utf8'),
  ) ?? [];
const ROWS = parse(table) as readonly { readonly values: Values; readonly modes: readonly Mode[] }[];
const DEFAULTS = Object.assign({}, ...ROWS.map(({ values }) => values)) as Values;
const inChart = parse(readFileSync(`${CHART}/values.yaml`, 'utf8')) as Values;

/** What each mode cannot do without. */
const secret = { existingSecret: 'hook-keys' };
const NEEDED: Readonly<Record<Mode, Values>> = {
  sidecar: { app: { image: 'legacy:1.2' }, secret },
  gateway: { upstream: { url: 'http://legacy' }, secret },
  inject: {},
  library: {
    secret,
    extraObjects: [
      ['container', 'volumes']
        .map((part) => `${part}: {{ include "entrupy-signature-proxy.${part}" . | nindent 2 }}\n`)
        .join(''),
    ],
  },
  monitoring: {},
};

/** A value that is not the default; where it says nothing alone, the object that holds it. */
const list = [{ name: 'a', value: 'b' }];
const probe = { exec: { command: ['/true'] } };
const SAMPLES: Values = {
  ...{ 'app.image': 'other:1', 'app.command': ['/a'], 'app.args': ['a'], 'app.env': list, 'app.envFrom': list },
  ...{ 'app.resources': { limits: { cpu: 1 } }, 'app.volumeMounts': list, 'app.lifecycle': { postStart: probe } },
  ...{ 'app.startupProbe': probe, 'app.readinessProbe': probe, 'app.livenessProbe': probe },
  ...{ 'app.preStopSleepSeconds': 9, 'app.port': 3001, 'upstream.url': 'http://other', existingConfigMap: 'other' },
  ...{ 'secret.existingSecret': 'other', 'secret.items': [{ key: 'a', path: 'a' }] },
  'secret.values': { existingSecret: '', values: { a: 'a secret of sixteen bytes' } },
  'once.existingSecret': { config: { once: { store: 'redis://a' } }, once: { existingSecret: 'a' } },
  'redelivery.existingSecret': {
    config: { redelivery: { store: 'redis://a' } },
    redelivery: { existingSecret: 'a' },
  },
  ...{ 'redelivery.existingClaim': 'a', 'redelivery.size': '1Gi', 'redelivery.ephemeral': true },
  ...{ envFrom: list, extraVolumes: list, extraVolumeMounts: list, extraEnv: list, nativeSidecar: false },
  ...{ securityContext: { runAsUser: 7 }, resources: { requests: { cpu: 1 } } },
  ...{ startupProbe: { periodSeconds: 9 }, readinessProbe: { periodSeconds: 9 }, livenessProbe: { periodSeconds: 9 } },
  ...{ 'image.pullSecrets': [{ name: 'a' }], 'serviceAccount.create': true, 'serviceAccount.name': 'a' },
  ...{ 'serviceAccount.automountToken': true, replicaCount: 3, revisionHistoryLimit: 3, minReadySeconds: 3 },
  ...{
    deploymentLabels: { a: 'b' },
    deploymentAnnotations: { a: 'b' },
    podLabels: { a: 'b' },
    podAnnotations: { a: 'b' },
  },
  ...{ updateStrategy: { type: 'Recreate' }, strategy: { type: 'Recreate' }, extraInitContainers: list },
  ...{ extraContainers: list, hostAliases: [{ ip: '10.0.0.7' }], dnsPolicy: 'None', dnsConfig: { options: list } },
  ...{ runtimeClassName: 'a', schedulerName: 'a', nodeSelector: { a: 'b' }, tolerations: [{ operator: 'Exists' }] },
  ...{ affinity: { nodeAffinity: {} }, topologySpreadConstraints: [{ maxSkew: 1 }], priorityClassName: 'a' },
  ...{ enableServiceLinks: true, rollOnChange: true, 'pdb.enabled': true, terminationGracePeriodSeconds: 46 },
  ...{ podSecurityContext: { fsGroup: 7 }, 'service.type': 'NodePort', 'service.port': 81 },
  'service.nodePort': { service: { type: 'NodePort', nodePort: 30_080 } },
  ...{ 'service.annotations': { a: 'b' }, 'service.labels': { a: 'b' }, 'service.trafficDistribution': 'PreferClose' },
  'service.externalTrafficPolicy': { service: { type: 'NodePort', externalTrafficPolicy: 'Local' } },
  ...{ 'service.internalTrafficPolicy': 'Local', 'service.appProtocol': 'a' },
  'service.loadBalancerClass': { service: { type: 'LoadBalancer', loadBalancerClass: 'a/b' } },
  'service.loadBalancerSourceRanges': { service: { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/8'] } },
  ...{ 'service.ipFamilyPolicy': 'PreferDualStack', 'service.ipFamilies': ['IPv6'] },
  'ingress.enabled': { ingress: { enabled: true, host: 'a.example.com' } },
  'httpRoute.enabled': { httpRoute: { enabled: true, parentRefs: [{ name: 'a' }] } },
  'networkPolicy.enabled': true,
  ...{ 'test.path': '/a', 'test.secretKey': 'a', 'autoscaling.enabled': true },
  ...{ 'metrics.podMonitor.enabled': true, 'metrics.serviceMonitor.enabled': true },
  ...{ 'inject.namespaceSelector': { matchLabels: { a: 'b' } }, 'inject.secret': 'a', 'inject.configMap': 'a' },
  ...{ 'inject.onceSecret': 'a', 'inject.redeliverySecret': 'a', 'inject.checkImage': false },
};

/** The schema refuses each of these beside another. */
const PAIRED = / (?:strategy|secret\.values)$|monitoring metrics\.serviceMonitor/;

const isMapping = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Two trees of values as one; the second goes before the first, as Helm has it. */
function merged(one: Values, other: Values): Values {
  const both = Object.entries(other).map(([key, value]) => {
    const before = one[key];
    return [key, isMapping(value) && isMapping(before) ? merged(before, value) : value] as const;
  });
  return { ...one, ...Object.fromEntries(both) };
}

function placed(name: string): Values {
  const sample = SAMPLES[name];
  const [section = ''] = name.split('.');
  if (isMapping(sample) && name.includes('.') && section in sample) return sample;
  if (name === 'secret.values') return { secret: sample };
  return name.split('.').reduceRight<unknown>((value, key) => ({ [key]: value }), sample) as Values;
}

const at = (values: Values, name: string) =>
  name.split('.').reduce<unknown>((value, key) => (isMapping(value) ? value[key] : undefined), values);

describe.skipIf(!haveTools(...HELMS))('a value of the chart', () => {
  const directory = ownDirectory();
  let files = 0;
  const rendered = async (mode: Mode, values: Values, helm: (typeof HELMS)[number] = 'helm') => {
    const file = join(directory, `${files++}.yaml`);
    await writeFile(file, JSON.stringify({ ...merged(NEEDED[mode], values), mode }));
    return tryTemplate(['-f', file, '--kube-version', '1.36.0'], { helm });
  };

  test('has the default in the table that it has in the chart', () => {
    for (const [name, value] of Object.entries(DEFAULTS)) {
      if (['app.preStopSleepSeconds', 'test.secretKey'].includes(name)) continue; // of 0.1.0
      const usual = at(inChart, name) ?? '';
      const isNothing = usual === false || usual === '' || Object.keys(usual as object).length === 0;
      expect({ name, value: value ?? isNothing }).toEqual({ name, value: value === null ? true : usual });
    }
    expect(Object.keys(SAMPLES).sort()).toEqual(Object.keys(DEFAULTS).sort());
  });

  test('is in the table, or belongs to a feature that is, or is used wherever there is something to use it', () => {
    const everywhere =
      /^(?:mode|nameOverride|fullnameOverride|namespaceOverride|common\w+|global|image|config|metrics|extraObjects|test)$/;
    const missing = Object.keys(inChart).filter(
      (key) => !everywhere.test(key) && !Object.keys(DEFAULTS).some((name) => name.split('.')[0] === key),
    );
    expect(missing).toEqual([]);
  });

  test.each(MODES.flatMap((mode) => HELMS.map((helm) => [mode, helm] as const)))(
    'is refused by name if mode %s has no use for it, by %s',
    async (mode, helm) => {
      const rows = ROWS.filter(({ modes }) => !modes.includes(mode));
      const names = rows.flatMap(({ values }) => Object.keys(values)).filter((name) => !PAIRED.test(`${mode} ${name}`));
      expect(names.length).toBeGreaterThan(6);
      const values = names.map(placed).reduce(merged, {});
      const { code, stderr } = await rendered(mode, { ...values, config: {} }, helm);
      expect(code).toBe(1);
      const told = [...stderr.matchAll(/^ {2}- (.*?) (?:is|are) not for mode (\w+): ./gm)].map(([, given = '', of]) => {
        expect(of).toBe(mode);
        return given.split(', ');
      });
      expect(told.flat().sort()).toEqual(names.sort());
    },
  );

  test.each(MODES)('changes what mode %s renders, if the table says that it uses it', async (mode) => {
    const without = await rendered(mode, {});
    expect(without.stderr).toBe('');
    const names = ROWS.filter(({ modes }) => modes.includes(mode)).flatMap(({ values }) => Object.keys(values));
    const silent: string[] = [];
    const each = async (name: string) => {
      const { code, stdout, stderr } = await rendered(mode, placed(name));
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: '' });
      if (stdout === without.stdout) silent.push(name);
    };
    for (let first = 0; first < names.length; first += 4) await Promise.all(names.slice(first, first + 4).map(each));
    // A gateway's proxy is an ordinary container anyway, and has its disruption budget by default.
    expect(silent).toEqual(mode === 'gateway' ? ['nativeSidecar', 'pdb.enabled'] : []);
  });
});
