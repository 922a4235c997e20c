// `helm test` as both Helms run it: it waits for a release that is not ready yet, and says why it failed.
// The pod of the test runs here as the command that its one container has, against a server in the Service's place.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startApiServer } from '../support/chart/api-server.ts';
import { CHART, HELMS, podSpec } from '../support/chart/helm.ts';
import { sign } from '../support/deliveries/signer.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { listening } from '../support/machine/listening.ts';
import { haveTools, run } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';

const SECRET = 'a secret of the helm test, 32 bytes';
const MOUNTED = '/etc/entrupy/secrets/shop-signature-proxy';

describe.skipIf(!haveTools(...HELMS))('helm test', () => {
  const directory = ownDirectory();

  test.each(HELMS)('of %s waits, prints what was answered, and leaves a pod that says why it failed', async (helm) => {
    let requests = 0;
    const service = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      // Nothing is ready yet when the first request comes.
      if (++requests === 1) return void request.socket.destroy();
      response.writeHead(request.headers['entrupy-signature'] === sign(SECRET, body) ? 200 : 401).end();
    });
    const { port, close } = await listening(service);
    const secrets = join(directory, helm, 'shop-signature-proxy');
    await mkdir(secrets, { recursive: true });
    await writeFile(join(secrets, 'current'), SECRET);
    const url = `http://127.0.0.1:${port}/notify`;
    const api = await startApiServer({
      runPod: async (pod) => {
        const { args = [] } = podSpec(pod).containers[0] ?? {};
        const here = args.map((word) => word.replace('http://shop:80/notify', url).replace(MOUNTED, secrets));
        const { code, stdout, stderr } = await runCommand(here);
        return { code, log: stdout + stderr };
      },
    });
    const kubeconfig = join(directory, `${helm}.kubeconfig`);
    await writeFile(kubeconfig, api.kubeconfig);
    const place = ['--kubeconfig', kubeconfig, '--namespace', 'shop'];
    const ask = (...args: string[]) => run(helm, [...args, ...place], { env: { HELM_CACHE_HOME: directory } });
    try {
      expect(await ask('install', 'shop', CHART, '--disable-openapi-validation')).toMatchObject({ code: 0 });
      const passed = await ask('test', 'shop', '--logs');
      expect(passed).toMatchObject({ code: 0, stderr: '' });
      expect(passed.stdout).toMatch(
        /^ok: expected anything but 401, got 200 \(signed POST .*\)\nok: expected 401, got 401 \(unsigned POST .*\)$/m,
      );
      expect(api.pod('shop-test')).toMatchObject({ status: { phase: 'Succeeded' } });
      await rm(join(secrets, 'current'));
      const failed = await ask('test', 'shop', '--logs');
      expect(failed.code).toBe(1);
      expect(failed.stdout).toContain('/shop-signature-proxy: it holds no secrets');
      expect(api.pod('shop-test')).toMatchObject({ status: { phase: 'Failed' } });
    } finally {
      await Promise.all([api.close(), close()]);
    }
  });
});
