// The rules of Kubernetes' Pod Security Standard "restricted" that apply to the chart's output.
// Source: kubernetes.io/docs/concepts/security/pod-security-standards.
import { allContainers, type PodSpec } from './helm.ts';

interface Security {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  readonly seccompProfile?: { readonly type?: string };
}

const VOLUMES = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'],
];

/** Each rule that the pod breaks; empty if it is admitted. */
export function restrictedProblems(spec: PodSpec): string[] {
  const pod = (spec.securityContext ?? {}) as Security;
  const volumes = (spec.volumes ?? []).flatMap((volume) =>
    Object.keys(volume).some((key) => VOLUMES.includes(key)) ? [] : [`volume ${String(volume.name)}`],
  );
  const containers = allContainers(spec).flatMap(({ name, securityContext }) => {
    const own = (securityContext ?? {}) as Security;
    const seccomp = own.seccompProfile?.type ?? pod.seccompProfile?.type ?? '';
    const rules: readonly (readonly [string, boolean])[] = [
      ['runAsNonRoot', (own.runAsNonRoot ?? pod.runAsNonRoot) === true && (own.runAsUser ?? pod.runAsUser) !== 0],
      ['allowPrivilegeEscalation', own.allowPrivilegeEscalation === false && own.privileged !== true],
      ['capabilities', own.capabilities?.drop?.includes('ALL') === true && (own.capabilities.add ?? []).length === 0],
      ['seccompProfile', ['RuntimeDefault', 'Localhost'].includes(seccomp)],
    ];
    return rules.filter(([, holds]) => !holds).map(([rule]) => `${name}: ${rule}`);
  });
  return [...volumes, ...containers];
}
