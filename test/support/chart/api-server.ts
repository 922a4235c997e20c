// A minimal Kubernetes API server for Helm: discovery, a store of objects, and apply with a single owner, which removes
// fields that are no longer applied. It admits everything and runs nothing.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parse } from 'yaml';
import type { Manifest } from './helm.ts';

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

type Tree = { [key: string]: unknown };

export interface ApiServer {
  /** The text of a KUBECONFIG file. */
  readonly kubeconfig: string;
  /** The current state of a Deployment. */
  deployment(name: string): Manifest | undefined;
  /** Scales, as `kubectl scale` or an autoscaler would. */
  scale(name: string, replicas: number): void;
  /** Every write, in order: `PATCH Deployment`. */
  readonly writes: string[];
  close(): Promise<void>;
}

export async function startApiServer(): Promise<ApiServer> {
  const store = new Store();
  const answer = (request: IncomingMessage, body: Buffer): Answer => {
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://api');
    const discovered = method === 'GET' ? discovery(pathname) : undefined;
    if (discovered !== undefined) return [200, discovered];
    const at = locate(pathname);
    if (at === undefined) return NOT_FOUND;
    if (method === 'GET') return store.read(at, searchParams.get('labelSelector') ?? '');
    if (searchParams.get('dryRun') === 'All') return [200, parse(body.toString())];
    if (method === 'DELETE') return store.remove(at);
    const given = body.subarray(0, 4).equals(PROTOBUF) ? secretOf(body) : (parse(body.toString()) as Tree);
    return store.write(at, given, { method, type: request.headers['content-type'] ?? '' });
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
    scale(name, replicas) {
      const object = store.find(`/deployments/${name}`);
      if (object === undefined) throw new Error(`no Deployment ${name}`);
      (object.spec as Tree).replicas = replicas;
    },
    writes: store.writes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

type Answer = readonly [number, unknown];

const status = (code: number, reason: string) => {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    code,
    reason,
    status: code < 400 ? 'Success' : 'Failure',
    message: reason,
  };
};
const NOT_FOUND: Answer = [404, status(404, 'NotFound')];

class Store {
  readonly writes: string[] = [];
  readonly #live = new Map<string, Tree>();
  /** The last applied configuration, by object. */
  readonly #applied = new Map<string, Tree>();
  #version = 0;

  find(end: string): Tree | undefined {
    return [...this.#live].find(([key]) => key.endsWith(end))?.[1];
  }

  read({ path, name, kind, type }: Located, selector: string): Answer {
    if (name !== undefined) {
      const object = this.#live.get(`${path}/${name}`);
      return object === undefined ? NOT_FOUND : [200, object];
    }
    const terms = selector.split(',').filter((term) => term !== '');
    const labels = (object: Tree) => ((object.metadata as Tree).labels ?? {}) as Tree;
    const items = [...this.#live].filter(([key, object]) => {
      return (
        key.startsWith(`${path}/`) &&
        terms.every((term) => `${labels(object)[term.split('=')[0] ?? '']}` === term.split('=')[1])
      );
    });
    const metadata = { resourceVersion: String(this.#version) };
    return [
      200,
      { kind: `${kind}List`, apiVersion: type.apiVersion, metadata, items: items.map(([, object]) => object) },
    ];
  }

  remove({ path, name, kind }: Located): Answer {
    this.writes.push(`DELETE ${kind}`);
    this.#live.delete(`${path}/${name}`);
    return [200, status(200, '')];
  }

  write(at: Located, given: Tree, how: { readonly method: string; readonly type: string }): Answer {
    const name = at.name ?? ((given.metadata as Tree).name as string);
    const key = `${at.path}/${name}`;
    const before = this.#live.get(key) ?? {};
    if (how.method === 'POST' && this.#live.has(key)) return [409, status(409, 'AlreadyExists')];
    this.writes.push(`${how.method} ${at.kind}`);
    // Helm 4 applies; Helm 3 sends the differences.
    const applies = how.type === 'application/apply-patch+yaml';
    const base = applies ? without(before, this.#applied.get(key) ?? {}, given) : before;
    const change = Array.isArray(given) ? removals(given as Removal[]) : given;
    const next = how.method === 'PATCH' ? merged(base, change) : change;
    const metadata = { ...(next.metadata as Tree), name, resourceVersion: String(++this.#version) };
    const spec = at.kind === 'Deployment' ? { spec: { replicas: 1, ...(next.spec as Tree) } } : {};
    const stored = { ...next, ...spec, ...at.type, metadata };
    this.#live.set(key, stored);
    if (applies || how.method === 'POST') this.#applied.set(key, given);
    return [how.method === 'POST' ? 201 : 200, stored];
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Helm writes its records in protobuf, behind this prefix. */
const PROTOBUF = Buffer.from('k8s\0');

/** A Secret of k8s.io/api/core/v1/generated.proto, with only the fields that Helm sets. */
function secretOf(body: Buffer): Tree {
  const [raw = Buffer.alloc(0)] = fieldsOf(body.subarray(4)).get(2) ?? [];
  const secret = fieldsOf(raw);
  const metadata = fieldsOf(secret.get(1)?.[0] ?? Buffer.alloc(0));
  const entries = (fields: readonly Buffer[] = []) =>
    fields
      .map((entry) => fieldsOf(entry))
      .map((entry) => [entry.get(1)?.[0]?.toString() ?? '', entry.get(2)?.[0]] as const);
  return {
    metadata: {
      name: metadata.get(1)?.[0]?.toString(),
      labels: Object.fromEntries(entries(metadata.get(11)).map(([key, value]) => [key, value?.toString() ?? ''])),
    },
    data: Object.fromEntries(entries(secret.get(2)).map(([key, value]) => [key, value?.toString('base64') ?? ''])),
    type: secret.get(3)?.[0]?.toString(),
  };
}

/** The length-delimited fields of a message: text, bytes and messages. */
function fieldsOf(message: Buffer): ReadonlyMap<number, readonly Buffer[]> {
  const fields = new Map<number, Buffer[]>();
  let at = 0;
  const number = () => {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    const length = number();
    if ((tag & 7) !== 2) continue;
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), message.subarray(at, at + length)]);
    at += length;
  }
  return fields;
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

interface Located {
  readonly path: string;
  readonly name: string | undefined;
  readonly kind: string;
  readonly type: { readonly apiVersion: string; readonly kind: string };
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

interface Removal {
  readonly op: string;
  readonly path: string;
}

/** A JSON Patch with only `remove` operations, as a merge patch. */
function removals(patch: readonly Removal[]): Tree {
  return patch.reduce<Tree>((tree, { op, path }) => {
    if (op !== 'remove') throw new Error(`this API server knows no ${op}`);
    const nested = path
      .slice(1)
      .split('/')
      .reduceRight<unknown>((value, key) => ({ [key]: value }), null);
    return merged(tree, nested as Tree);
  }, {});
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Removes fields that were applied before and are not given now. */
function without(current: Tree, before: Tree, now: Tree): Tree {
  const entries = Object.entries(current).flatMap(([key, value]): [string, unknown][] => {
    if (!(key in before)) return [[key, value]];
    if (!(key in now)) return [];
    const [old, given] = [before[key], now[key]];
    return [[key, isTree(value) && isTree(old) && isTree(given) ? without(value, old, given) : value]];
  });
  return Object.fromEntries(entries);
}

function merged(current: Tree, given: Tree): Tree {
  const result: Tree = { ...current };
  for (const [key, value] of Object.entries(given)) {
    const old = result[key];
    if (value === null && key in result) delete result[key];
    else result[key] = isTree(value) && isTree(old) ? merged(old, value) : value;
  }
  return result;
}
