// The release `shop`, made by real Helm against the test's Kubernetes API server, which is a new one for each test.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { ownDirectory } from '../machine/files.ts';
import { run } from '../machine/tools.ts';
import { type ApiServer, startApiServer } from './api-server.ts';
import { CHART, type HELMS } from './helm.ts';

export function releaseBy(helm: (typeof HELMS)[number]) {
  const directory = ownDirectory();
  const kubeconfig = join(directory, 'kubeconfig');
  const place = ['--kubeconfig', kubeconfig, '--namespace', 'shop'];
  const env = { HELM_CACHE_HOME: directory };
  let api: ApiServer;
  beforeEach(async () => {
    api = await startApiServer();
    await writeFile(kubeconfig, api.kubeconfig);
  });
  afterEach(() => api.close());

  const ask = (...args: readonly string[]) => run(helm, [...args, ...place], { env });
  const must = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await ask(...args);
    expect({ args, code, stderr: code === 0 ? '' : stderr }).toMatchObject({ code: 0, stderr: '' });
    return stdout;
  };
  return {
    directory,
    place,
    env,
    api: () => api,
    ask,
    must,
    install: (chart: string, ...options: readonly string[]) =>
      must('install', 'shop', chart, '--disable-openapi-validation', ...options),
    upgrade: (...options: readonly string[]) =>
      must('upgrade', 'shop', CHART, '--disable-openapi-validation', ...options),
  };
}
