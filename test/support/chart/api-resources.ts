// What the test's Kubernetes API server serves: its resources, their discovery and their addresses.
import type { Located } from './object-store.ts';

/** Group and version, plural, kind, and whether it lives in a namespace. */
const RESOURCES = [
  ['v1', 'namespaces', 'Namespace', false],
  ['v1', 'configmaps', 'ConfigMap', true],
  ['v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', true],
  ['v1', 'pods', 'Pod', true],
  ['v1', 'secrets', 'Secret', true],
  ['v1', 'services', 'Service', true],
  ['v1', 'serviceaccounts', 'ServiceAccount', true],
  ['apps/v1', 'deployments', 'Deployment', true],
  ['apps/v1', 'replicasets', 'ReplicaSet', true],
  ['autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', true],
  ['policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', true],
  ['monitoring.coreos.com/v1', 'podmonitors', 'PodMonitor', true],
  ['monitoring.coreos.com/v1', 'servicemonitors', 'ServiceMonitor', true],
  ['admissionregistration.k8s.io/v1', 'mutatingadmissionpolicies', 'MutatingAdmissionPolicy', false],
  ['admissionregistration.k8s.io/v1', 'mutatingadmissionpolicybindings', 'MutatingAdmissionPolicyBinding', false],
  ['admissionregistration.k8s.io/v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', false],
  ['admissionregistration.k8s.io/v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', false],
] as const;

export function discovery(path: string): unknown {
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
  if (path.startsWith('/openapi')) return openApi(path);
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

/** Just so much that Helm and kubectl leave the validation to the server, which here has none. */
function openApi(path: string): unknown {
  const rootOf = (groupVersion: string) => (groupVersion === 'v1' ? 'api/v1' : `apis/${groupVersion}`);
  if (path === '/openapi/v3') {
    const roots = RESOURCES.map(([groupVersion]) => rootOf(groupVersion));
    return { paths: Object.fromEntries(roots.map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}` }])) };
  }
  const kinds = RESOURCES.filter(([groupVersion]) => path === `/openapi/v3/${rootOf(groupVersion)}`);
  if (kinds.length === 0) return undefined;
  const paths = kinds.map(([groupVersion, plural, kind]) => {
    const [version = '', group = ''] = groupVersion.split('/').reverse();
    const parameters = ['fieldValidation', 'dryRun'].map((name) => ({ name, in: 'query' }));
    const patch = { parameters, 'x-kubernetes-group-version-kind': { group, version, kind } };
    return [`/${rootOf(groupVersion)}/${plural}/{name}`, { patch }];
  });
  return { openapi: '3.0.0', info: {}, paths: Object.fromEntries(paths) as object };
}

export function locate(path: string): Located | undefined {
  for (const [apiVersion, plural, kind] of RESOURCES) {
    const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    const match = new RegExp(`^${root}(/namespaces/[^/]+)?/${plural}(?:/([^/]+))?$`).exec(path);
    if (match !== null) {
      return { path: `${root}${match[1] ?? ''}/${plural}`, name: match[2], kind, type: { apiVersion, kind } };
    }
  }
  return undefined;
}
