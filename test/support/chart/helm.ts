// Real Helm on the chart in helm/, and its manifests as objects.
import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { mustRun, type Ran, ROOT, run } from '../machine/tools.ts';

export const CHART = `${ROOT}helm`;

/** The Helm versions that the chart supports: 4, and the last 3 that package registries have. */
export const HELMS = ['helm', 'helm-3.17'] as const;

/** A Kubernetes object, typed as loosely as tests need. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
}

interface ValuesFile {
  readonly name: string;
  /** The file's options for Helm: `# kube-version: 1.36.0`. */
  readonly options: readonly string[];
  readonly text: string;
}

export function valuesFiles(directory: string): readonly ValuesFile[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  return names.sort().map((name) => {
    const file = `${directory}/${name}`;
    const text = readFileSync(file, 'utf8');
    const version = /^# kube-version: (\S+)$/m.exec(text)?.[1];
    return { name, text, options: ['-f', file, ...(version === undefined ? [] : ['--kube-version', version])] };
  });
}

/** `helm template shop`, with all of its output, errors included. */
export function tryTemplate(
  options: readonly string[],
  { chart = CHART, helm = 'helm' }: Rendering = {},
): Promise<Ran> {
  return run(helm, ['template', 'shop', chart, '--namespace', 'shop', ...options]);
}

interface Rendering {
  readonly chart?: string;
  readonly helm?: (typeof HELMS)[number];
}

export async function template(options: readonly string[], rendering: Rendering = {}): Promise<Manifest[]> {
  const { code, stdout, stderr } = await tryTemplate(options, rendering);
  if (code !== 0) throw new Error(`helm template ${options.join(' ')}: ${stderr}`);
  return parseManifests(stdout);
}

export const set = (...values: readonly string[]): string[] => values.flatMap((value) => ['--set', value]);

/** Values of a sidecar with an app of the user's own, and of a gateway. */
export const APP = ['app.image=legacy:1.2', 'secret.existingSecret=hook-keys'];
export const GATEWAY = ['mode=gateway', 'upstream.url=http://legacy', 'secret.existingSecret=hook-keys'];

/** The manifests of mode inject, which old versions of Kubernetes lack. */
export const injecting = (...values: readonly string[]) =>
  template([...set('mode=inject', ...values), '--kube-version', '1.36.0']);

export async function notesOf(...values: readonly string[]): Promise<string> {
  const options = ['--namespace', 'shop', '--dry-run=client', ...set(...values)];
  const text = await mustRun('helm', ['install', 'shop', CHART, ...options]);
  return text.slice(text.indexOf('\nNOTES:\n'));
}

export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(`${document.errors.join('\n')}\n${text}`);
    const value: unknown = document.toJS();
    return value === null ? [] : [value as Manifest];
  });
}

export function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} of kind ${kind}`);
  return first;
}

/** A container or init container, typed as loosely as tests need. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly lifecycle?: object;
  readonly startupProbe?: object;
  readonly readinessProbe?: object;
  readonly livenessProbe?: object;
}

export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
}

export const podTemplate = ({ spec }: Manifest) =>
  spec?.template as { readonly metadata?: Partial<Manifest['metadata']>; readonly spec: PodSpec };

/** The spec of a Deployment's pods, or of a Pod. */
export const podSpec = (manifest: Manifest): PodSpec =>
  manifest.kind === 'Pod' ? (manifest.spec as unknown as PodSpec) : podTemplate(manifest).spec;

export const allContainers = ({ initContainers = [], containers }: PodSpec): readonly Container[] => [
  ...initContainers,
  ...containers,
];

export function proxyOf(spec: PodSpec): Container {
  const proxy = allContainers(spec).find(({ name }) => name === 'entrupy-signature-proxy');
  if (proxy === undefined) throw new Error('there is no proxy in this pod');
  return proxy;
}
