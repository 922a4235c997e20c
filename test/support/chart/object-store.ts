// The objects of the test's Kubernetes API server, and the owners of their fields.
import { isDeepStrictEqual } from 'node:util';
import {
  applied,
  conflictsOf,
  isTree,
  managedFields,
  merged,
  type Owners,
  type Tree,
  updated,
  type Writer,
  type Written,
} from './field-owners.ts';

export type Answer = readonly [number, unknown];

/** An object's address, or a list's. */
export interface Located {
  readonly path: string;
  readonly name: string | undefined;
  readonly kind: string;
  readonly type: { readonly apiVersion: string; readonly kind: string };
}

interface Write {
  readonly method: string;
  readonly contentType: string;
  readonly manager: string;
  readonly force: boolean;
}

export const statusOf = (code: number, reason: string, message = reason) => {
  return { kind: 'Status', apiVersion: 'v1', code, reason, status: code < 400 ? 'Success' : 'Failure', message };
};

export const NOT_FOUND: Answer = [404, statusOf(404, 'NotFound')];

export class ObjectStore {
  /** Every write, in order: `PATCH Deployment`. */
  readonly writes: string[] = [];
  readonly #live = new Map<string, Written>();
  #version = 0;

  find(end: string): Tree | undefined {
    return [...this.#live].find(([key]) => key.endsWith(end))?.[1].object;
  }

  read({ path, name, kind, type }: Located, selector: string): Answer {
    if (name !== undefined) {
      const live = this.#live.get(`${path}/${name}`);
      return live === undefined ? NOT_FOUND : [200, withOwners(live)];
    }
    const terms = selector.split(',').filter((term) => term !== '');
    const labels = (object: Tree) => ((object.metadata as Tree).labels ?? {}) as Tree;
    const items = [...this.#live].filter(([key, { object }]) => {
      return (
        key.startsWith(`${path}/`) &&
        terms.every((term) => `${labels(object)[term.split('=')[0] ?? '']}` === term.split('=')[1])
      );
    });
    const metadata = { resourceVersion: String(this.#version) };
    return [
      200,
      { kind: `${kind}List`, apiVersion: type.apiVersion, metadata, items: items.map(([, live]) => withOwners(live)) },
    ];
  }

  remove({ path, name, kind }: Located): Answer {
    this.writes.push(`DELETE ${kind}`);
    this.#live.delete(`${path}/${name}`);
    return [200, statusOf(200, '')];
  }

  write(at: Located, given: Tree, how: Write): Answer {
    const name = at.name ?? ((given.metadata as Tree).name as string);
    const key = `${at.path}/${name}`;
    if (how.method === 'POST' && this.#live.has(key)) return [409, statusOf(409, 'AlreadyExists')];
    const before = contentOf(this.#live.get(key) ?? { object: {}, owners: [] });
    // Helm 4 applies; Helm 3 and kubectl send the differences.
    const applies = how.contentType === 'application/apply-patch+yaml';
    const writer: Writer = { manager: how.manager, operation: applies ? 'Apply' : 'Update' };
    let next: Written;
    if (applies) {
      // A null in an applied object removes nothing: fields go by being left out.
      const own = withoutNulls(contentOf({ object: given, owners: [] }).object);
      const conflicts = how.force ? [] : conflictsOf(before, own, writer);
      if (conflicts.length > 0) {
        const text = `Apply failed with ${conflicts.length} conflict(s): ${conflicts.join(', ')}`;
        return [409, statusOf(409, 'Conflict', text)];
      }
      next = completed(at, applied(before, own, writer));
    } else {
      const change = Array.isArray(given) ? removals(given as Removal[]) : given;
      const object = how.method === 'PATCH' ? merged(before.object, change) : change;
      next = updated(before, completed(at, contentOf({ object, owners: [] })).object, writer);
    }
    const problem = problemOf(at, before.object, next.object);
    if (problem !== null) return [422, statusOf(422, 'Invalid', `${at.kind} "${name}" is invalid: ${problem}`)];
    this.#put(at, key, next);
    this.writes.push(`${how.method} ${at.kind}`);
    const live = this.#live.get(key);
    return [how.method === 'POST' ? 201 : 200, live === undefined ? {} : withOwners(live)];
  }

  /**
   * As `kubectl scale` or an autoscaler writes it. Where nobody owned the number, whoever scales does not own it either:
   * the server begins no entry for an object without one (skipNonAppliedManager), and to it the scale is such an object.
   */
  scale(end: string, replicas: number, manager: string): void {
    const found = [...this.#live].find(([key]) => key.endsWith(end));
    if (found === undefined) throw new Error(`no object ${end}`);
    const [key, live] = found;
    const object = { ...live.object, spec: { ...(live.object.spec as Tree), replicas } };
    const isOwned = live.owners.some(({ fields }) => fields.has('spec/replicas'));
    if (!isOwned) {
      this.#live.set(key, { ...live, object });
      return;
    }
    const next = updated(contentOf(live), contentOf({ object, owners: [] }).object, {
      manager,
      operation: 'Update',
      subresource: 'scale',
    });
    this.#live.set(key, { ...next, object });
  }

  #put(at: Located, key: string, { object, owners }: Written): void {
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(key) ?? [];
    const metadata = {
      ...(object.metadata as Tree),
      name: key.slice(key.lastIndexOf('/') + 1),
      ...(namespace !== undefined && { namespace }),
      resourceVersion: String(++this.#version),
    };
    this.#live.set(key, { object: { ...object, ...at.type, metadata }, owners });
  }
}

/** Without what identifies the object, which nobody owns. */
function contentOf({ object, owners }: { readonly object: Tree; readonly owners: Owners }): Written {
  const { apiVersion: _version, kind: _kind, metadata = {}, ...content } = object;
  const { labels, annotations } = metadata as Tree;
  const own = { ...(labels !== undefined && { labels }), ...(annotations !== undefined && { annotations }) };
  return { object: { ...content, metadata: own }, owners };
}

/** With what the server fills in, which nobody who only applied owns. */
function completed(at: Located, { object, owners }: Written): Written {
  if (at.kind === 'Deployment') return { object: withDefaults(object), owners };
  if (at.kind !== 'PersistentVolumeClaim') return { object, owners };
  return { object: { ...object, spec: { storageClassName: 'the default', ...(object.spec as Tree) } }, owners };
}

/** Why the server refuses what an object would become; null if it does not. */
function problemOf(at: Located, before: Tree, next: Tree): string | null {
  if (at.kind === 'Deployment') return strategyProblem(next);
  const isNew = before.spec === undefined;
  if (at.kind !== 'PersistentVolumeClaim' || isNew || isDeepStrictEqual(before.spec, next.spec)) return null;
  return 'spec: Forbidden: spec is immutable after creation except resources.requests for bound claims';
}

// What an API server does with a Deployment that is written: its defaults, and the rules for its strategy. Source:
// pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation/validation.go of Kubernetes 1.36.

/** A Deployment without a number has one pod; without a strategy it rolls by a quarter. Nobody owns what is filled in. */
function withDefaults(deployment: Tree): Tree {
  const { replicas = 1, strategy, ...spec } = deployment.spec as Tree;
  const given = treeOf(strategy);
  const type = given.type ?? 'RollingUpdate';
  const rolling = { maxUnavailable: '25%', maxSurge: '25%', ...treeOf(given.rollingUpdate) };
  const complete = type === 'RollingUpdate' ? { ...given, type, rollingUpdate: rolling } : given;
  return { ...deployment, spec: { ...spec, replicas, strategy: complete } };
}

const treeOf = (value: unknown): Tree => (isTree(value) ? value : {});

/** Why the server refuses it; null if it does not. */
function strategyProblem(deployment: Tree): string | null {
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

function withoutNulls(tree: Tree): Tree {
  const entries = Object.entries(tree).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, isTree(value) ? withoutNulls(value) : value]));
}

function withOwners({ object, owners }: Written): Tree {
  return { ...object, metadata: { ...(object.metadata as Tree), managedFields: managedFields(owners) } };
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
