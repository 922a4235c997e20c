// Checks manifests against the types of Kubernetes, as strictly as a server would: the TypeScript compiler finds unknown
// fields and wrong types.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { ROOT, run, TOOLS } from '../machine/tools.ts';
import type { Manifest } from './helm.ts';

function moduleOf(apiVersion: string): string {
  if (apiVersion.startsWith('monitoring.coreos.com/')) return `@kubernetes-models/prometheus-operator/${apiVersion}`;
  if (apiVersion.startsWith('gateway.networking.k8s.io/')) return `@kubernetes-models/gateway-api/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}

/** A server reads null as a field that is to be removed. */
const withoutNull = (_key: string, value: unknown) => value ?? undefined;

/**
 * All problems, one line each; empty if every manifest is valid. TypeScript checks only object literals for excess
 * properties, so the manifests are written as literals. `from`: the source, for messages.
 */
export async function typeProblems(
  manifests: readonly { readonly from: string; readonly manifest: Manifest }[],
): Promise<string[]> {
  // Below the tools, where the types resolve.
  const directory = await mkdtemp(`${TOOLS}/type-check-`);
  const lines = manifests.map(({ from, manifest: { apiVersion, kind }, manifest }, index) =>
    [
      `import type { I${kind} as I${index} } from '${moduleOf(apiVersion)}/${kind}';`,
      `export const m${index} = ${JSON.stringify(manifest, withoutNull, 1)} satisfies I${index}; // ${from}`,
    ].join('\n'),
  );
  await writeFile(`${directory}/manifests.ts`, `${lines.join('\n')}\n`);
  const options = { noEmit: true, strict: true, skipLibCheck: true, module: 'nodenext', target: 'es2024', types: [] };
  const project = JSON.stringify({ compilerOptions: options, files: ['manifests.ts'] });
  await writeFile(`${directory}/tsconfig.json`, project);
  await writeFile(`${directory}/package.json`, '{"type":"module"}');
  const { code, stdout, stderr } = await run(`${ROOT}node_modules/.bin/tsc`, ['-p', directory, '--pretty', 'false']);
  await rm(directory, { recursive: true });
  return code === 0 ? [] : `${stdout}${stderr}`.split('\n').filter((line) => line.trim() !== '');
}
