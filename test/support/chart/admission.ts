// Evaluates the admission policies that the chart renders, in place of an API server. A CEL library evaluates the
// expressions, typed literals of Kubernetes (Object.spec...{}, JSONPatch{}) are read as maps, and the JSON Patch is
// applied. It has no type check against the schema of pods, no cost limit, no reinvocation, no other plug-in and no
// namespace selector. No API server that compiles these expressions was available.
import { pathToFileURL } from 'node:url';
import { TOOLS } from '../machine/tools.ts';
import { type Manifest, only } from './helm.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string }[];
}

interface Policy {
  readonly matchConstraints: { readonly objectSelector: Selector };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly variables: readonly { readonly name: string; readonly expression: string }[];
  readonly mutations?: readonly { readonly jsonPatch: { readonly expression: string } }[];
  readonly validations?: readonly {
    readonly expression: string;
    readonly message: string;
    readonly messageExpression?: string;
  }[];
}

export type Admission = Awaited<ReturnType<typeof admissionOf>>;

export async function admissionOf(manifests: readonly Manifest[]) {
  const library = pathToFileURL(`${TOOLS}/node_modules/@marcbachmann/cel-js/lib/index.js`).href;
  const { Environment } = (await import(/* @vite-ignore */ library)) as {
    Environment: new (options: object) => { evaluate(expression: string, context: object): unknown };
  };
  const cel = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
  const [mutating, validating] = ['MutatingAdmissionPolicy', 'ValidatingAdmissionPolicy'].map((kind) => {
    return only(manifests, kind).spec as unknown as Policy;
  }) as [Policy, Policy];
  for (const kind of ['MutatingAdmissionPolicyBinding', 'ValidatingAdmissionPolicyBinding']) {
    if ('paramRef' in (only(manifests, kind).spec ?? {})) throw new Error(`${kind} has parameters`);
  }

  const contextOf = (policy: Policy, pod: Manifest): object => {
    const object = toCel(pod as unknown as Json);
    const variables: Record<string, unknown> = {};
    for (const { name, expression } of policy.variables) {
      variables[name] = cel.evaluate(asMaps(expression), { object, variables });
    }
    return { object, variables };
  };
  const matches = ({ matchConstraints }: Policy, { metadata }: Manifest) =>
    selects(matchConstraints.objectSelector, metadata.labels ?? {});

  const mutate = (pod: Manifest): Manifest => {
    if (!matches(mutating, pod)) return pod;
    const object = toCel(pod as unknown as Json);
    const applies = (mutating.matchConditions ?? []).every(({ expression }) => cel.evaluate(expression, { object }));
    if (!applies) return pod;
    const context = contextOf(mutating, pod);
    return (mutating.mutations ?? []).reduce((current, { jsonPatch }) => {
      return applyPatch(
        current,
        fromCel(cel.evaluate(asMaps(jsonPatch.expression), context)) as unknown as Operation[],
      );
    }, pod);
  };
  // Like the API server: the expression's result, or the message if it fails, is empty or has line breaks.
  const sentence = (message: string, expression: string | undefined, context: object): string => {
    if (expression === undefined) return message;
    const text: unknown = cel.evaluate(asMaps(expression), context);
    return typeof text === 'string' && text.trim() !== '' && !text.includes('\n') ? text : message;
  };
  const judge = (pod: Manifest): readonly string[] => {
    if (!matches(validating, pod)) return [];
    const context = contextOf(validating, pod);
    return (validating.validations ?? [])
      .filter(({ expression }) => cel.evaluate(asMaps(expression), context) !== true)
      .map(({ message, messageExpression }) => sentence(message, messageExpression, context));
  };
  return {
    /** Only the validating policy, for a pod that the mutating one did not reach. */
    judge,
    /** The pod after the mutating policy, and the errors of the validating policy; no errors if it is admitted. */
    admit(pod: Manifest) {
      const mutated = mutate(pod);
      return { pod: mutated, refusals: judge(mutated) };
    },
  };
}

/** As Kubernetes does it, with the one operator that the chart uses. */
function selects(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const other = matchExpressions.find(({ operator }) => operator !== 'Exists');
  if (other !== undefined) throw new Error(`the chart uses ${other.operator}`);
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key }) => labels[key] !== undefined)
  );
}

/**
 * `Object.spec{name: "a"}` becomes `dyn({"name": "a"})`; maps stay unchanged. `has(list[0].name)` becomes `"name" in
 * list[0]`, because the library's `has` does not accept an index.
 */
function asMaps(expression: string): string {
  const closers: string[] = [];
  const tokens = expression.match(
    /"[^"]*"|'[^']*'|(?:JSONPatch|Object[\w.]*)\{|[A-Za-z_]\w*:|[{}]|[^"'{}A-Za-z_]+|[A-Za-z_]\w*/g,
  );
  const written = (tokens ?? []).map((token) => {
    if (/^(?:JSONPatch|Object[\w.]*)\{$/.test(token)) {
      closers.push('})');
      return 'dyn({';
    }
    if (token === '{') closers.push('}');
    if (token === '}') return closers.pop() ?? '}';
    return /^\w+:$/.test(token) ? `"${token.slice(0, -1)}":` : token;
  });
  return written
    .join('')
    .replaceAll(/(?<=[?:] )\[\]/g, 'dyn([])')
    .replaceAll(/has\(([^()]*\])\.(\w+)\)/g, '("$2" in $1)');
}

/** CEL's integers are BigInt here. */
const toCel = (value: Json): unknown => {
  if (typeof value === 'number') return BigInt(value);
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, toCel(child)]));
};

const fromCel = (value: unknown): Json => {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(fromCel);
  if (typeof value !== 'object' || value === null) return value as Json;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(entries.map(([key, child]) => [String(key), fromCel(child)]));
};

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value: Json;
}

/** RFC 6902, only the operation that the policy uses. */
function applyPatch(document: Manifest, operations: readonly Operation[]): Manifest {
  const copy = structuredClone(document) as unknown as { [key: string]: Json };
  for (const { op, path, value } of operations) {
    if (op !== 'add') throw new Error(`the policy uses ${op}`);
    const keys = path.slice(1).split('/');
    const last = keys.pop() ?? '';
    let parent: Json = copy;
    for (const key of keys) parent = (parent as { [key: string]: Json })[key] ?? null;
    if (Array.isArray(parent)) parent.splice(last === '-' ? parent.length : Number(last), 0, value);
    else (parent as { [key: string]: Json })[last] = value;
  }
  return copy as unknown as Manifest;
}
