// Who owns which field of an object, as an API server tracks it in metadata.managedFields: the rules of server-side apply.
// https://kubernetes.io/docs/reference/using-api/server-side-apply. A list is one field here; in Kubernetes most lists
// are merged by a key.
import { isDeepStrictEqual } from 'node:util';

export type Tree = { [key: string]: unknown };

export interface Writer {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource?: string;
}

interface Owner extends Writer {
  readonly fields: ReadonlySet<string>;
}

export type Owners = readonly Owner[];

export interface Written {
  readonly object: Tree;
  readonly owners: Owners;
}

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The values of all fields, by path: `spec/replicas`, where `/` within a key is `~1`. */
function fieldsOf(tree: Tree, prefix = ''): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(tree)) {
    const path = `${prefix}${key.replaceAll('/', '~1')}`;
    if (isTree(value) && Object.keys(value).length > 0) {
      for (const [below, field] of fieldsOf(value, `${path}/`)) fields.set(below, field);
    } else {
      fields.set(path, value);
    }
  }
  return fields;
}

const isSame = (one: Writer, other: Writer) =>
  one.manager === other.manager && one.operation === other.operation && one.subresource === other.subresource;

const changedIn = (now: ReadonlyMap<string, unknown>, current: ReadonlyMap<string, unknown>) =>
  [...now].filter(([path, value]) => !isDeepStrictEqual(current.get(path), value)).map(([path]) => path);

const without = (fields: ReadonlySet<string>, gone: ReadonlySet<string>) =>
  new Set([...fields].filter((path) => !gone.has(path)));

/** The other owners, without the fields that the writer takes. */
const othersOf = ({ owners }: Written, writer: Writer, taken: ReadonlySet<string>): Owners =>
  owners.filter((owner) => !isSame(owner, writer)).map((owner) => ({ ...owner, fields: without(owner.fields, taken) }));

/** Another writer's fields that an apply would change, as Kubernetes words them; empty if there are none. */
export function conflictsOf(live: Written, given: Tree, writer: Writer): readonly string[] {
  const current = fieldsOf(live.object);
  return [...fieldsOf(given)].flatMap(([path, value]) => {
    if (!current.has(path) || isDeepStrictEqual(current.get(path), value)) return [];
    return live.owners
      .filter((owner) => !isSame(owner, writer) && owner.fields.has(path))
      .map(({ manager, subresource }) => {
        const part = subresource === undefined ? '' : ` with subresource "${subresource}"`;
        return `conflict with "${manager}"${part}: .${path.replaceAll('/', '.')}`;
      });
  });
}

/** Sets the given fields, and removes those that the writer applied before and nobody else owns. */
export function applied(live: Written, given: Tree, writer: Writer): Written {
  const [current, now] = [fieldsOf(live.object), fieldsOf(given)];
  const before = live.owners.find((owner) => isSame(owner, writer))?.fields ?? new Set();
  const others = othersOf(live, writer, new Set(changedIn(now, current)));
  const gone = [...before].filter((path) => !now.has(path) && !others.some(({ fields }) => fields.has(path)));
  const kept = gone.reduce((tree, path) => removed(tree, path.split('/')), live.object);
  return { object: merged(kept, given), owners: [...others, { ...writer, fields: new Set(now.keys()) }] };
}

/** Another kind of write: the writer owns what it changed, and nobody else does. */
export function updated(live: Written, object: Tree, writer: Writer): Written {
  const [current, now] = [fieldsOf(live.object), fieldsOf(object)];
  const changed = changedIn(now, current);
  const taken = new Set([...changed, ...[...current.keys()].filter((path) => !now.has(path))]);
  const own = live.owners.find((owner) => isSame(owner, writer))?.fields ?? new Set();
  return {
    object,
    owners: [...othersOf(live, writer, taken), { ...writer, fields: new Set([...without(own, taken), ...changed]) }],
  };
}

export const managedFields = (owners: Owners): readonly Tree[] =>
  owners
    .filter(({ fields }) => fields.size > 0)
    .map(({ fields, ...writer }) => ({
      ...writer,
      fieldsType: 'FieldsV1',
      fieldsV1: [...fields].reduce<Tree>((tree, path) => {
        const keys = path.split('/').map((key) => `f:${key.replaceAll('~1', '/')}`);
        return merged(
          tree,
          keys.reduceRight<Tree>((below, key) => ({ [key]: below }), {}),
        );
      }, {}),
    }));

function removed(tree: Tree, [key = '', ...below]: readonly string[]): Tree {
  const name = key.replaceAll('~1', '/');
  const { [name]: child, ...rest } = tree;
  return below.length === 0 || !isTree(child) ? rest : { ...rest, [name]: removed(child, below) };
}

/** A JSON Merge Patch (RFC 7396), with the one directive of a strategic one that removes keys of a map. */
export function merged(current: Tree, { $retainKeys, ...given }: Tree): Tree {
  const kept = Object.entries(current).filter(([key]) => !Array.isArray($retainKeys) || $retainKeys.includes(key));
  const result: Tree = Object.fromEntries(kept);
  for (const [key, value] of Object.entries(given)) {
    const old = result[key];
    if (value === null) delete result[key];
    else result[key] = isTree(value) && isTree(old) ? merged(old, value) : value;
  }
  return result;
}
