// A minimal Kubernetes API server for Helm and kubectl: discovery, a store of objects, and who owns their fields. It
// admits everything, unless a test gives it an admission, and runs nothing.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parse } from 'yaml';
import type { Tree } from './field-owners.ts';
import type { Manifest } from './helm.ts';
import { PROTOBUF, secretOf } from './helm-records.ts';
import { type Answer, type Located, NOT_FOUND, ObjectStore, statusOf } from './object-store.ts';

/** Group and version, plural, kind, and whether it lives in a namespace. */
const RESOURCES = [
  ['v1', 'namespaces', 'Namespace', false],
  ['v1', 'configmaps', 'ConfigMap', true],
  ['v1', 'pods', 'Pod', true],
  ['v1', 'secrets', 'Secret', true],
  ['v1', 'services', 'Service', true],
  ['v1', 'serviceaccounts', 'ServiceAccount', true],
  ['apps/v1', 'deployments', 'Deployment', true],
  ['apps/v1', 'replicasets', 'ReplicaSet', true],
  ['autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', true],
  ['policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', true],
  ['admissionregistration.k8s.io/v1', 'mutatingadmissionpolicies', 'MutatingAdmissionPolicy', false],
  ['admissionregistration.k8s.io/v1', 'mutatingadmissionpolicybindings', 'MutatingAdmissionPolicyBinding', false],
  ['admissionregistration.k8s.io/v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', false],
  ['admissionregistration.k8s.io/v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', false],
] as const;

export interface ApiServer {
  /** The text of a KUBECONFIG file. */
  readonly kubeconfig: string;
  /** The current state of a Deployment. */
  deployment(name: string): Manifest | undefined;
  /** Scales, as `kubectl scale` would, or an autoscaler: `kube-controller-manager`. */
  scale(name: string, replicas: number, manager?: string): void;
  /** Every write, in order: `PATCH Deployment`. */
  readonly writes: string[];
  close(): Promise<void>;
}

export interface ApiServerOptions {
  /** What becomes of a new pod, also of a dry run. */
  readonly admit?: (pod: Manifest) => { readonly pod: Manifest; readonly refusals: readonly string[] };
}

export async function startApiServer({ admit }: ApiServerOptions = {}): Promise<ApiServer> {
  const store = new ObjectStore();
  const admitted = (at: Located, object: Tree): Tree | Answer => {
    if (at.kind !== 'Pod' || admit === undefined) return object;
    const { pod, refusals } = admit(object as unknown as Manifest);
    return refusals.length === 0 ? (pod as unknown as Tree) : [422, statusOf(422, 'Invalid', refusals.join(', '))];
  };
  const written = (at: Located, request: IncomingMessage, body: Buffer): Answer => {
    const { method = '', url = '', headers } = request;
    const query = new URL(url, 'http://api').searchParams;
    const isDry = query.get('dryRun') === 'All';
    if (method === 'DELETE') return isDry ? [200, statusOf(200, '')] : store.remove(at);
    const read = body.subarray(0, 4).equals(PROTOBUF) ? secretOf(body) : (parse(body.toString()) as Tree);
    const given = method === 'POST' ? admitted(at, read) : read;
    if (isAnswer(given)) return given;
    if (isDry) return [method === 'POST' ? 201 : 200, given];
    return store.write(at, given, {
      method,
      contentType: headers['content-type'] ?? '',
      manager: query.get('fieldManager') ?? headers['user-agent']?.split('/')[0] ?? '',
      force: query.get('force') === 'true',
    });
  };
  const answer = (request: IncomingMessage, body: Buffer): Answer => {
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://api');
    const discovered = method === 'GET' ? discovery(pathname) : undefined;
    if (discovered !== undefined) return [200, discovered];
    const at = locate(pathname);
    if (at === undefined) return NOT_FOUND;
    if (method === 'GET') return store.read(at, searchParams.get('labelSelector') ?? '');
    return written(at, request, body);
  };

  const server: Server = createServer((request, response) => {
    void bytesOf(request).then((body) => {
      const [code, value] = answer(request, body);
      response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: url } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      users: [{ name: 'test', user: {} }],
    }),
    deployment: (name) => store.find(`/deployments/${name}`) as Manifest | undefined,
    scale: (name, replicas, manager = 'kubectl') => store.scale(`/deployments/${name}`, replicas, manager),
    writes: store.writes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

const isAnswer = (value: Tree | Answer): value is Answer => Array.isArray(value) && typeof value[0] === 'number';

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function discovery(path: string): unknown {
  const groups = [...new Set(RESOURCES.map(([group]) => group as string))].filter((group) => group !== 'v1');
  if (path === '/version') return { major: '1', minor: '36', gitVersion: 'v1.36.0' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') {
    const entries = groups.map((groupVersion) => {
      const [name = '', version = ''] = groupVersion.split('/');
      const one = { groupVersion, version };
      return { name, versions: [one], preferredVersion: one };
    });
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: entries };
  }
  if (path.startsWith('/openapi')) return path === '/openapi/v3' ? { paths: {} } : undefined;
  const groupVersion = path.replace(/^\/apis?\//, '');
  const resources = RESOURCES.filter(([group]) => group === groupVersion);
  if (resources.length === 0) return undefined;
  const verbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion,
    resources: resources.map(([, name, kind, namespaced]) => ({ name, singularName: '', namespaced, kind, verbs })),
  };
}

function locate(path: string): Located | undefined {
  for (const [apiVersion, plural, kind] of RESOURCES) {
    const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    const match = new RegExp(`^${root}(/namespaces/[^/]+)?/${plural}(?:/([^/]+))?$`).exec(path);
    if (match !== null) {
      return { path: `${root}${match[1] ?? ''}/${plural}`, name: match[2], kind, type: { apiVersion, kind } };
    }
  }
  return undefined;
}
