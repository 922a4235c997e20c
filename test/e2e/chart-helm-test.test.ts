// `helm test` as both Helms run it: it waits for a release that is not ready yet, and says why it failed.
// The pod of the test runs here as the command that its one container has, against a server in the Service's place.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHART, HELMS, podSpec } from '../support/chart/helm.ts';
import { releaseBy } from '../support/chart/release.ts';
import { sign } from '../support/deliveries/signer.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { listening } from '../support/machine/listening.ts';
import { haveTools } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';

const SECRET = 'a secret of the helm test, 32 bytes';
const MOUNTED = '/etc/entrupy/secrets/shop-signature-proxy';

describe.skipIf(!haveTools(...HELMS)).each(HELMS)('helm test of %s', (helm) => {
  const secrets = join(ownDirectory(), 'shop-signature-proxy');
  let url = '';
  const { api, ask, install } = releaseBy(helm, {
    runPod: async (pod) => {
      const { args = [] } = podSpec(pod).containers[0] ?? {};
      const here = args.map((word) => word.replace('http://shop:80/notify', url).replace(MOUNTED, secrets));
      const { code, stdout, stderr } = await runCommand(here);
      return { code, log: stdout + stderr };
    },
  });

  test('waits, prints what was answered, and leaves a pod that says why it failed', async ({ onTestFinished }) => {
    let requests = 0;
    const service = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      // Nothing is ready yet when the first request comes.
      if (++requests === 1) return void request.socket.destroy();
      response.writeHead(request.headers['entrupy-signature'] === sign(SECRET, body) ? 200 : 401).end();
    });
    const { port, close } = await listening(service);
    onTestFinished(close);
    url = `http://127.0.0.1:${port}/notify`;
    await mkdir(secrets);
    await writeFile(join(secrets, 'current'), SECRET);
    await install(CHART);
    const passed = await ask('test', 'shop', '--logs');
    expect(passed).toMatchObject({ code: 0, stderr: '' });
    expect(passed.stdout).toMatch(
      /^ok: expected anything but 401, got 200 \(signed POST .*\)\nok: expected 401, got 401 \(unsigned POST .*\)$/m,
    );
    expect(api().pod('shop-test')).toMatchObject({ status: { phase: 'Succeeded' } });
    await rm(join(secrets, 'current'));
    const failed = await ask('test', 'shop', '--logs');
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain('/shop-signature-proxy: it holds no secrets');
    expect(api().pod('shop-test')).toMatchObject({ status: { phase: 'Failed' } });
  });
});
