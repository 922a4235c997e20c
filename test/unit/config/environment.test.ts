// The environment beside a file, and alone.
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../../src/config/problems.ts';
import { NAMES, VariableName } from '../../../src/config/variables.ts';
import { parseText, problemsOf } from '../../support/proxy/config-text.ts';

const KEY = 'WEBHOOK_ENDPOINT_SECRET_KEY';

function load(env: Record<string, string>, text: string | null = null) {
  const { config, warnings } = parseText(text, text === null ? null : 'c.yaml', env);
  return { config, warnings: warnings.map(formatProblem) };
}

const refusals = (env: Record<string, string>, text: string | null = null) =>
  problemsOf(() => load(env, text)).map(formatProblem);

describe('overrides', () => {
  test('win over the file, addresses beside their ports or alone', () => {
    const env = { UPSTREAM_URL: 'http://app:1', LISTEN_HOST: '127.0.0.1', ADMIN_HOST: '::1', LOG_LEVEL: 'debug' };
    const file = `upstream: { url: http://other, connections: 3 }
listen: { host: 192.0.2.1, port: 7 }
admin: { host: 192.0.2.2 }
log: { format: json }`;
    const hosts = load({ ...env, LOG_FORMAT: 'text', [KEY]: 'x' }, file);
    const log = { level: 'debug', format: 'text' };
    const upstream = { url: 'http://app:1', connections: 3 };
    const own = { listen: { host: '127.0.0.1', port: 7 }, admin: { host: '::1', port: 9464 }, upstream, log };
    expect(hosts).toMatchObject({ config: own, warnings: [] });
    const both = load({ ...env, LISTEN_PORT: '1', ADMIN_PORT: '2', [KEY]: 'x' }, file);
    const ports = { listen: { host: '127.0.0.1', port: 1 }, admin: { host: '::1', port: 2 } };
    expect(both).toMatchObject({ config: ports, warnings: [] });
  });

  test.each([
    ['LOG_FORMAT', 'pretty', 'found "pretty", allowed is auto, json or text'],
    ['LISTEN_PORT', 'tcp://10.0.0.1:80', '"tcp://10.0.0.1:80" is Kubernetes\' service link'],
    ['ADMIN_PORT', 'tcp://10.0.0.1:81', '"tcp://10.0.0.1:81" is Kubernetes\' service link'],
  ])('%s of others (%s) is ignored with a warning', (variable, value, why) => {
    const plain = load({ [KEY]: 'x' }, 'log: { format: json }');
    const ignored = expect.stringContaining(`environment: ${variable}: ignored: ${why}`);
    const found = load({ [variable]: value, [KEY]: 'x' }, 'log: { format: json }');
    expect(found).toEqual({ config: plain.config, warnings: [ignored] });
  });

  test('an empty variable counts as unset', () => {
    const others = NAMES.filter((name) => name !== KEY);
    expect(load(Object.fromEntries(others.map((name) => [name, ''])))).toEqual(load({}));
  });

  test.each([
    [{ UPSTREAM_URL: '"http://app:3000"' }, /UPSTREAM_URL: "\\"http.*" has quotes around it; an env file is likely/],
    [{ UPSTREAM_URL: 'http://app:3000\r' }, /UPSTREAM_URL: .* has a carriage return at its end; an env file/],
    [{ LISTEN_PORT: "'8080'" }, /LISTEN_PORT: .* has quotes around it; an env file/],
  ])('what an env file leaves in a value names the file as the source: %j', (env, expected) => {
    expect(() => load({ ...env, [KEY]: 'x' })).toThrow(expected);
  });

  test('bad values are reported by the variable’s name', () => {
    const env = { UPSTREAM_URL: 'http://u:PASTED@app', LISTEN_PORT: '0x50', ADMIN_PORT: '70000', LOG_LEVEL: 'warning' };
    const found = refusals({ ...env, ADMIN_HOST: 'localhost:9464', ALLOW_SHORT_SECRET: 'yes' });
    const hidden = /^environment: UPSTREAM_URL: found a text \(not shown: it may hold a password\), allowed is http:/;
    expect(found).toEqual([
      'environment: ALLOW_SHORT_SECRET: found "yes", allowed is true or false',
      'environment: LISTEN_PORT: found "0x50", allowed is a whole number from 0 to 65535',
      expect.stringMatching(/^environment: ADMIN_HOST: found "localhost:9464", allowed is /),
      'environment: ADMIN_PORT: found 70000, allowed is a whole number from 0 to 65535',
      expect.stringMatching(hidden),
      'environment: LOG_LEVEL: found "warning", allowed is debug, info, warn or error; did you mean "warn"?',
    ]);
    const rule = 'environment: ADMIN_PORT: found 8080, which is also listen.port; allowed is any other port';
    expect(refusals({ ADMIN_PORT: '8080' })).toEqual([rule]);
  });
});

describe('secrets', () => {
  const validity = { overlap: null, notBefore: null, notAfter: null, allowShort: false };

  test('three variables make three secrets; short ones are allowed on request', () => {
    const env = { [KEY]: 'a', [`${KEY}_PREVIOUS`]: 'b', [`${KEY}_FILE`]: '/run/key' };
    const secrets = [
      { kind: 'env', id: 'env', env: new VariableName(KEY), ...validity },
      { kind: 'env', id: 'env-previous', env: new VariableName(`${KEY}_PREVIOUS`), ...validity },
      { kind: 'file', id: 'file', file: '/run/key', ...validity },
    ];
    expect(load(env)).toMatchObject({ config: { secrets }, warnings: [] });
    const short = secrets.map((secret, index) => ({ ...secret, index, allowShort: true }));
    expect(load({ ...env, ALLOW_SHORT_SECRET: 'true' }).config.secrets).toEqual(short);
  });

  test('an empty secret stays a secret, so nothing passes without one; other empty variables count as unset', () => {
    const { config } = load({ [KEY]: '', [`${KEY}_PREVIOUS`]: '', [`${KEY}_FILE`]: '' });
    expect(config.secrets.map((source) => source.kind !== 'directory' && source.id)).toEqual(['env']);
  });

  test('without any, every request is refused, and a warning says so', () => {
    const { config, warnings } = load({});
    expect(config).toMatchObject({ secrets: [], unmatched: { action: 'verify' } });
    expect(warnings).toEqual([
      'environment: secrets: there are no secrets, so every request on a verify route is answered with 503: set WEBHOOK_ENDPOINT_SECRET_KEY, or add secrets here',
    ]);
  });

  test('with secrets in the file they are ignored with a warning, unless an entry names them', () => {
    const text = `secrets:\n  - { id: old, env: ${KEY}_PREVIOUS }\n`;
    const { config, warnings } = load({ [KEY]: 'a', [`${KEY}_PREVIOUS`]: 'b', ALLOW_SHORT_SECRET: 'true' }, text);
    expect(config.secrets).toHaveLength(1);
    expect(warnings).toEqual([
      `environment: ${KEY}: ignored: the file has secrets`,
      'environment: ALLOW_SHORT_SECRET: ignored: the file has secrets',
    ]);
  });

  test('an emptied section counts as absent; an empty list is a decision', () => {
    expect(load({ [KEY]: 'a' }, 'secrets:\n').config.secrets).toHaveLength(1);
    expect(load({ [KEY]: 'a' }, 'secrets: []\n').config.secrets).toHaveLength(0);
    expect(load({ VERIFY_PATHS: '/a' }, 'routes:\n').config.routes).toHaveLength(1);
  });
});

describe('paths', () => {
  const paths = (env: Record<string, string>) => {
    const { config } = load({ [KEY]: 'a', ...env });
    return { routes: config.routes.map(({ path, action }) => `${action} ${path}`), unmatched: config.unmatched.action };
  };

  test('VERIFY_PATHS forwards everything else, FORWARD_PATHS verifies it', () => {
    const verified = { routes: ['verify /notify', 'verify /webhooks/*'], unmatched: 'forward' };
    expect(paths({ VERIFY_PATHS: '/notify, /webhooks/*' })).toEqual(verified);
    expect(paths({ FORWARD_PATHS: '/healthz' })).toEqual({ routes: ['forward /healthz'], unmatched: 'verify' });
  });

  test.each([
    [{ VERIFY_PATHS: '/a', FORWARD_PATHS: '/b' }, null, 'VERIFY_PATHS: set together with FORWARD_PATHS'],
    [{ VERIFY_PATHS: '/a' }, 'routes: []', 'VERIFY_PATHS: set although the file has routes or unmatched'],
    [{ FORWARD_PATHS: '/a' }, 'unmatched: reject', 'FORWARD_PATHS: set although the file has routes or unmatched'],
    [{ VERIFY_PATHS: ',' }, null, 'VERIFY_PATHS: names an empty path'],
    [{ VERIFY_PATHS: '/a,b' }, null, 'VERIFY_PATHS: found "b", allowed is a path'],
    [{ VERIFY_PATHS: '/hooks/:id' }, null, 'VERIFY_PATHS: found "/hooks/:id", which holds :id, a parameter'],
    [{ FORWARD_PATHS: '/a,/b/.*' }, null, 'FORWARD_PATHS: found "/b/.*", which holds .*, a regular expression'],
    [{ VERIFY_PATHS: '/my hook' }, null, 'VERIFY_PATHS: found "/my hook", which must be ASCII without spaces'],
    [{ VERIFY_PATHS: '/a,/A' }, null, 'VERIFY_PATHS: found "/A", which servers can also read as "/a"'],
  ])('%j beside %j is refused', (env, text, message) => {
    expect(refusals({ [KEY]: 'a', ...env }, text)).toEqual([expect.stringContaining(`environment: ${message}`)]);
  });
});

describe('names similar to ours', () => {
  const RIGHT: Readonly<Record<string, string>> = {
    ...{ UPSTREAM_URL: 'http://a', LISTEN_PORT: '1', LOG_LEVEL: 'info', ALLOW_SHORT_SECRET: 'false' },
  };

  test.each([
    ...['VERIFY_PATH=VERIFY_PATHS', 'upstream_url=UPSTREAM_URL', 'LISTEN__PORT=LISTEN_PORT', 'UPSTREAM=UPSTREAM_URL'],
    ...['ENTRUPY_PROXY_CONIFG=ENTRUPY_PROXY_CONFIG', 'LISTEN=LISTEN_PORT', 'PORT=LISTEN_PORT'],
    ...[`${KEY}_OLD=${KEY}_PREVIOUS`, `WEBHOOK_ENDPOINT_SECRET=${KEY}`, `ENTRUPY_WEBHOOK_SECRET=${KEY}`],
  ])('%s: a name that nearly is ours warns, unless the right one is set', (pair) => {
    const [variable = '', meant = ''] = pair.split('=');
    const warnings = (env: Record<string, string>) =>
      load({ [variable]: 'a-value-that-nobody-shows', ...env }, 'unmatched: reject').warnings;
    const warning = `environment: ${variable}: ignored: no variable has this name; did you mean ${meant}?`;
    expect(warnings({ [meant]: '' })).toContain(warning);
    if (meant !== 'VERIFY_PATHS') expect(warnings({ [meant]: RIGHT[meant] ?? 'a-value' })).not.toContain(warning);
  });

  test('names in the file, empty variables and less similar names cause no warning', () => {
    const named = `secrets: [{ id: a, env: ${KEY}_OLD }]\nunmatched: reject`;
    expect(load({ [`${KEY}_OLD`]: 'x', VERIFY_PATH: '' }, named).warnings).toEqual([]);
    const others = { PATH: '/bin', PORTS: '1', UPSTREAM_PORT: '2', UPSTREAM_SERVICE_HOST: 'a', WEBHOOK_ENDPOINT: 'b' };
    expect(load({ ...others, HOME: '/', LOG_FORMAT: 'json' }, 'unmatched: reject').warnings).toEqual([]);
  });
});
