// The blocks of docs/kubernetes.md and of the chart's notes, run as written against a minimal API server in which the
// policies are not in force at once: first neither is, then only the guard. Kubernetes' own delay is not tested here.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { admissionOf } from '../support/chart/admission.ts';
import { type ApiServer, startApiServer } from '../support/chart/api-server.ts';
import { injecting, type Manifest, notesOf, podSpec } from '../support/chart/helm.ts';
import { blockThat } from '../support/docs/blocks.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools, mustRun, ROOT, run, TOOLS } from '../support/machine/tools.ts';

const ready = haveTools('helm', `${TOOLS}/bin/kubectl`, `${TOOLS}/node_modules/@marcbachmann/cel-js`);
const WAIT = /^until .*--dry-run=server.*$/m;

describe.skipIf(!ready)('with policies that take a while', () => {
  const directory = ownDirectory();
  let api: ApiServer;

  beforeAll(async () => {
    for (const name of ['helm', 'examples']) await mustRun('cp', ['-r', `${ROOT}${name}`, join(directory, name)]);
    await writeFile(join(directory, 'current.key'), 'a secret of the injection, 32 bytes and more');
    await writeFile(join(directory, 'config.yaml'), 'secrets: [{directory: /etc/entrupy/secrets}]\n');
  });

  /** Runs a block in a new cluster, where the first creations of pods meet policies that are not in force yet. */
  const runBlock = async (block: string) => {
    const admission = await admissionOf(await injecting());
    let creations = 0;
    const admit = (pod: Manifest) => {
      creations += 1;
      if (creations <= 2) return { pod, refusals: [] };
      return creations <= 4 ? { pod, refusals: admission.judge(pod) } : admission.admit(pod);
    };
    api = await startApiServer({ admit, runsDeployments: true });
    try {
      await writeFile(join(directory, 'kubeconfig'), api.kubeconfig);
      const env = {
        KUBECONFIG: join(directory, 'kubeconfig'),
        PATH: `${TOOLS}/bin:${process.env.PATH ?? ''}`,
      };
      const ran = await run('bash', ['-e', '-c', block], { cwd: directory, env, timeout: 300_000 });
      const pod = api.pod('shop-1');
      const names = pod === undefined ? [] : (podSpec(pod).initContainers ?? []).map(({ name }) => name);
      return { ...ran, names, creations };
    } finally {
      await api.close();
    }
  };
  const NAMESPACE = 'kubectl create namespace shop\n';
  const APP = 'kubectl apply -f examples/inject/shop.yaml\n';

  test('the block of the docs ends with a pod that has the proxy; without its wait it would not', async () => {
    const block = blockThat('docs/kubernetes.md', /^helm install signature-inject[\s\S]*until /);
    const { code, stderr, names } = await runBlock(block);
    expect({ code, names, stderr }).toEqual({ code: 0, names: ['entrupy-signature-proxy'], stderr: expect.anything() });
    expect(stderr).toContain('the sidecar was not injected: create it again');
    expect((await runBlock(block.replace(WAIT, ''))).names).toEqual([]);
  });

  test('so does the block for an existing namespace', async () => {
    const block = blockThat('docs/kubernetes.md', /^kubectl -n shop create secret[\s\S]*until /);
    const { code, names } = await runBlock(`${NAMESPACE}${block}${APP}`);
    expect({ code, names }).toEqual({ code: 0, names: ['entrupy-signature-proxy'] });
  });

  test('so do the commands of the notes', async () => {
    const notes = await notesOf('mode=inject');
    const commands = notes.match(/^ {2}(?:kubectl -n shop create|kubectl label|TRIAL=|until ).*$/gm) ?? [];
    expect(commands).toHaveLength(5);
    const block = commands.map((line) => `${line.trim()}\n`).join('');
    const { code, names } = await runBlock(`${NAMESPACE}${block}${APP}`);
    expect({ code, names }).toEqual({ code: 0, names: ['entrupy-signature-proxy'] });
  });
});
