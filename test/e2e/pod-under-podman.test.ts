// The pod that the chart renders, played by podman with the real image. podman supports neither native sidecars nor httpGet
// probes (it has no kubelet), so those are checked in the manifests.
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { type Container, type Manifest, only, podSpec, set, template } from '../support/chart/helm.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { post } from '../support/load/load.ts';
import { atTheEnd } from '../support/machine/children.ts';
import { buildImage, IMAGE } from '../support/machine/containers.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { haveTools, mustRun, run } from '../support/machine/tools.ts';
import { untilReady } from '../support/proxy/proxied.ts';
import { patience } from '../support/runner/patience.ts';
import { waitFor } from '../support/runner/wait-for.ts';

const ready = haveTools('podman', 'buildah', 'runc', 'helm');
const NAME = 'entrupy-e2e-sidecar';
const BODY = '{"hello":"entrupy"}';
const SIGNED = { 'Entrupy-Signature': sign(SECRET, BODY) };
/**
 * An address of podman's default network: podman does not tell a pod its address, so the test assigns one. Each run has
 * a new one: where another container keeps the network alive, the host goes on sending to the hardware address of the
 * last pod that had it, for up to 50 s.
 */
const newPodIp = () => `10.88.${randomInt(128, 256)}.${randomInt(1, 255)}`;

const image = (): string[] => {
  const [repository = '', tag = ''] = IMAGE.split(/:(?=[^:]*$)/);
  const values = `image.repository=${repository},image.tag=${tag},image.pullPolicy=Never`;
  return set(`${values},secret.values.current=${SECRET}`);
};

/** The rendered Deployment's pod with its Secret and ConfigMap, in a form that podman can play. */
function playable(manifests: readonly Manifest[], podIp: string, ports: Readonly<Record<string, number>>): string {
  const deployment = only(manifests, 'Deployment');
  const pod = podSpec(deployment);
  const containers = pod.containers.map(
    ({ startupProbe, readinessProbe, livenessProbe, lifecycle, ...rest }: Container) => ({
      ...rest,
      env: rest.env?.map((variable) => (variable.name === 'POD_IP' ? { name: 'POD_IP', value: podIp } : variable)),
      ports: rest.ports?.map((port) => ({ ...port, hostIP: '127.0.0.1', hostPort: ports[port.name] })),
    }),
  );
  const parts = ['Secret', 'ConfigMap'].map((kind) => only(manifests, kind));
  const played = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: deployment.metadata.name, labels: deployment.metadata.labels },
    spec: { ...pod, containers },
  };
  return [...parts, played].map((object) => stringify(object)).join('---\n');
}

describe.skipIf(!ready)('a rendered pod', () => {
  const directory = ownDirectory();
  beforeAll(async () => {
    await buildImage();
  });

  /** A pod that never is ready tells what its containers said. */
  const untilPodReady = (adminUrl: string) =>
    untilReady(adminUrl).catch(async (error: Error) => {
      const logs = ['app', 'entrupy-signature-proxy'].map((part) => ['logs', `${NAME}-${part}`]);
      const told = await Promise.all([['ps', '--all'], ...logs].map((args) => run('podman', args)));
      throw new Error([error.message, ...told.map(({ stdout, stderr }) => stdout + stderr)].join('\n'));
    });

  test('unsigned 401, signed 200 from the app, metrics, and a warning about an app on every interface', async () => {
    const podIp = newPodIp();
    const ports = { traffic: await freePort(), admin: await freePort() };
    const file = join(directory, `${NAME}.yaml`);
    const values = set(`fullnameOverride=${NAME}`, 'nativeSidecar=false', 'app.args={demo,--upstream-only}');
    await writeFile(file, playable(await template([...values, ...image()]), podIp, ports));
    const down = atTheEnd('podman', 'kube', 'down', '--force', file);
    onTestFinished(async () => void (await down()));
    await mustRun('podman', ['kube', 'play', '--network', `podman:ip=${podIp}`, file]);
    const [url, adminUrl] = [`http://127.0.0.1:${ports.traffic}`, `http://127.0.0.1:${ports.admin}`];
    await untilPodReady(adminUrl);
    expect((await fetch(`${adminUrl}/startz`)).status).toBe(200);
    expect(await post({ url: `${url}/notify`, body: BODY })).toMatchObject({ status: 401 });
    const signed = await fetch(`${url}/notify`, { method: 'POST', body: BODY, headers: SIGNED });
    expect(signed.status).toBe(200);
    expect(await signed.json()).toMatchObject({ app: 'demo', bytes: BODY.length });
    const metrics = async () => (await fetch(`${adminUrl}/metrics`)).text();
    expect(await metrics()).toContain('requests_total{route="unmatched",decision="accepted",reason="none"} 1');
    // The proxy checks once a minute, the first time before the app starts.
    const isExposed = async () => expect(await metrics()).toContain('\nentrupy_proxy_upstream_exposed 1\n');
    await waitFor(isExposed, 60_000 + patience());
    const inside = ['exec', `${NAME}-entrupy-signature-proxy`, 'entrupy-signature-proxy'];
    expect(await mustRun('podman', [...inside, 'check-config'])).toContain('The configuration is valid.');
    await mustRun('podman', [...inside, 'probe', '--url', 'http://127.0.0.1:8080/notify', '--expect', '401']);
    // preStop takes the pod out of service while it keeps serving.
    expect((await fetch(`${adminUrl}/-/drain`)).ok).toBe(true);
    expect((await fetch(`${adminUrl}/readyz`)).status).toBe(503);
    expect((await fetch(`${adminUrl}/livez`)).status).toBe(200);
    const last = await fetch(`${url}/notify`, { method: 'POST', body: BODY, headers: SIGNED });
    expect([last.status, last.headers.get('connection')]).toEqual([200, 'close']);
  });
});
