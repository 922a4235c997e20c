// What an API server does with a Deployment that is written: its defaults, and the rules for its strategy.
// Source: pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation/validation.go of Kubernetes 1.36.
import { isTree, type Tree } from './field-owners.ts';

/** A Deployment without a number has one pod; without a strategy it rolls by a quarter. Nobody owns what is filled in. */
export function withDefaults(deployment: Tree): Tree {
  const { replicas = 1, strategy, ...spec } = deployment.spec as Tree;
  const given = treeOf(strategy);
  const type = given.type ?? 'RollingUpdate';
  const rolling = { maxUnavailable: '25%', maxSurge: '25%', ...treeOf(given.rollingUpdate) };
  const complete = type === 'RollingUpdate' ? { ...given, type, rollingUpdate: rolling } : given;
  return { ...deployment, spec: { ...spec, replicas, strategy: complete } };
}

const treeOf = (value: unknown): Tree => (isTree(value) ? value : {});

/** Why the server refuses it; null if it does not. */
export function strategyProblem(deployment: Tree): string | null {
  const { type, rollingUpdate } = treeOf((deployment.spec as Tree).strategy);
  if (type === 'Recreate') {
    if (rollingUpdate === undefined) return null;
    return "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'";
  }
  const { maxUnavailable, maxSurge } = treeOf(rollingUpdate);
  const isZero = (value: unknown) => value === 0 || value === '0%';
  if (!isZero(maxUnavailable) || !isZero(maxSurge)) return null;
  return `spec.strategy.rollingUpdate.maxUnavailable: Invalid value: ${String(maxUnavailable)}: may not be 0 when \`maxSurge\` is 0`;
}
