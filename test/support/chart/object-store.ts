// The objects of the test's Kubernetes API server, and the owners of their fields.
import {
  applied,
  conflictsOf,
  managedFields,
  merged,
  type Owners,
  type Tree,
  updated,
  type Writer,
  type Written,
} from './field-owners.ts';

/** The status and the body of a response. */
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
    if (applies) {
      const own = contentOf({ object: given, owners: [] }).object;
      const conflicts = how.force ? [] : conflictsOf(before, own, writer);
      if (conflicts.length > 0) {
        const text = `Apply failed with ${conflicts.length} conflict(s): ${conflicts.join(', ')}`;
        return [409, statusOf(409, 'Conflict', text)];
      }
      this.#put(at, key, withDefaults(at, applied(before, own, writer)));
    } else {
      const change = Array.isArray(given) ? removals(given as Removal[]) : given;
      const object = how.method === 'PATCH' ? merged(before.object, change) : change;
      const complete = withDefaults(at, contentOf({ object, owners: [] })).object;
      this.#put(at, key, updated(before, complete, writer));
    }
    this.writes.push(`${how.method} ${at.kind}`);
    const live = this.#live.get(key);
    return [how.method === 'POST' ? 201 : 200, live === undefined ? {} : withOwners(live)];
  }

  /** As `kubectl scale` or an autoscaler writes it. */
  scale(end: string, replicas: number, manager: string): void {
    const found = [...this.#live].find(([key]) => key.endsWith(end));
    if (found === undefined) throw new Error(`no object ${end}`);
    const [key, live] = found;
    const object = { ...live.object, spec: { ...(live.object.spec as Tree), replicas } };
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

/** A Deployment without a number has one pod, and nobody who only applied owns this number. */
function withDefaults(at: Located, { object, owners }: Written): Written {
  if (at.kind !== 'Deployment') return { object, owners };
  return { object: { ...object, spec: { replicas: 1, ...(object.spec as Tree) } }, owners };
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
