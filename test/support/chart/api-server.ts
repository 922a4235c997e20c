// A minimal Kubernetes API server for Helm and kubectl: discovery, a store of objects, and who owns their fields. It
// admits everything, unless a test gives it an admission, and runs nothing but what a test runs for it.
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { parse } from 'yaml';
import { listening } from '../machine/listening.ts';
import { discovery, locate } from './api-resources.ts';
import type { Tree } from './field-owners.ts';
import type { Manifest } from './helm.ts';
import { PROTOBUF, secretOf } from './helm-records.ts';
import { type Answer, type Located, NOT_FOUND, ObjectStore, statusOf } from './object-store.ts';

export type ApiServer = Awaited<ReturnType<typeof startApiServer>>;

interface ApiServerOptions {
  /** What becomes of a new pod, also of a dry run. */
  readonly admit?: Admit;
  /** Each new Deployment gets one pod at once, ready, as soon as it is admitted. */
  readonly runsDeployments?: boolean;
}

type Admit = (pod: Manifest) => { readonly pod: Manifest; readonly refusals: readonly string[] };

/** Creations until a controller gives up here. */
const ATTEMPTS = 20;

export async function startApiServer({ admit, runsDeployments }: ApiServerOptions = {}) {
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
    const manager = query.get('fieldManager') ?? headers['user-agent']?.split('/')[0] ?? '';
    const force = query.get('force') === 'true';
    return store.write(at, given, { method, contentType: headers['content-type'] ?? '', manager, force });
  };
  const startPod = (deployment: Tree) => {
    const { name, namespace } = deployment.metadata as { name: string; namespace: string };
    const { template } = deployment.spec as { template: { metadata: Tree; spec: Tree } };
    const metadata = { ...template.metadata, name: `${name}-1`, namespace };
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const at = { path, name: undefined, kind: 'Pod', type: { apiVersion: 'v1', kind: 'Pod' } };
    const how = { contentType: 'application/json', manager: 'kube-controller-manager', force: false };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const pod = admitted(at, { metadata, spec: template.spec });
      if (isAnswer(pod)) continue;
      store.write(at, pod, { ...how, method: 'POST' });
      const conditions = [{ type: 'Available', status: 'True' }];
      const status = { ...deployment, status: { conditions, observedGeneration: 1 } };
      const own = locate(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
      if (own !== undefined) store.write(own, status, { ...how, method: 'PUT' });
      return;
    }
  };
  const answer = (request: IncomingMessage, body: Buffer): Answer => {
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://api');
    const discovered = method === 'GET' ? discovery(pathname) : undefined;
    if (discovered !== undefined) return [200, discovered];
    const at = locate(pathname);
    if (at === undefined) return NOT_FOUND;
    if (method === 'GET') return store.read(at, searchParams.get('labelSelector') ?? '');
    const [code, object] = written(at, request, body);
    if (runsDeployments && at.kind === 'Deployment' && code < 300) startPod(object as Tree);
    return [code, object];
  };

  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const { searchParams } = new URL(request.url ?? '', 'http://api');
      // Whoever watches has listed before, and nothing changes after that.
      const watches = searchParams.get('watch') === 'true';
      if (watches && searchParams.get('sendInitialEvents') !== 'true') return response.writeHead(200).flushHeaders();
      const [code, value] = watches ? [422, statusOf(422, 'Invalid')] : answer(request, body);
      response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    });
  });
  const { port, close } = await listening(server);
  return {
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: `http://127.0.0.1:${port}` } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      users: [{ name: 'test', user: {} }],
    }),
    deployment: (name: string) => store.find(`/deployments/${name}`) as Manifest | undefined,
    claim: (name: string) => store.find(`/persistentvolumeclaims/${name}`) as Manifest | undefined,
    pod: (name: string) => store.find(`/pods/${name}`) as Manifest | undefined,
    /** Scales, as `kubectl scale` would, or an autoscaler: `kube-controller-manager`. */
    scale: (name: string, replicas: number, manager = 'kubectl') =>
      store.scale(`/deployments/${name}`, replicas, manager),
    writes: store.writes,
    close,
  };
}

const isAnswer = (value: Tree | Answer): value is Answer => Array.isArray(value) && typeof value[0] === 'number';
