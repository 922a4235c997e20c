// The machine and the versions of a run, and anything that a run lacks.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const NEEDED: Readonly<Record<string, string>> = {
  taskset: 'util-linux',
  wrk: 'wrk',
  haproxy: 'haproxy',
  nginx: 'nginx-light',
  '/usr/lib/nginx/modules/ngx_http_echo_module.so': 'libnginx-mod-http-echo',
  '/usr/lib/nginx/modules/ngx_http_js_module.so': 'libnginx-mod-http-js',
  '/usr/lib/nginx/modules/ngx_http_lua_module.so': 'libnginx-mod-http-lua',
  '/usr/share/lua/5.1/openssl/hmac.lua': 'lua-luaossl',
  'redis-server': 'redis-server',
};

/** Missing prerequisites of a run; empty if there are none. */
export function missing(): string[] {
  const absent = Object.entries(NEEDED).filter(([needed]) =>
    needed.startsWith('/') ? !existsSync(needed) : spawnSync('sh', ['-c', `command -v ${needed}`]).status !== 0,
  );
  const packages = absent.map(([, name]) => name);
  return [
    ...(process.platform === 'linux' && cpus().length >= 2 ? [] : ['Linux and two cores']),
    ...(packages.length === 0 ? [] : [`apt-get install --no-install-recommends ${packages.join(' ')}`]),
    ...(existsSync(`${ROOT}bench/node_modules`) ? [] : ['npm ci --prefix bench']),
  ];
}

/** Markdown lines: the date, the machine and the versions. */
export function machineLines(date: Date): string[] {
  const [cpu] = cpus();
  const distribution = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `- ${date.toISOString().slice(0, 10)}, ${cpus().length} cores of ${cpu?.model ?? 'unknown'}, ${memory} GiB, ${distribution}, kernel ${release()}; load average before the run ${loadavg()[0]?.toFixed(2)}`,
    `- node ${process.versions.node}, undici ${installed('undici')}, http-proxy-3 ${installed('http-proxy-3')}, fastify ${installed('fastify', 'bench/')}, @fastify/http-proxy ${installed('@fastify/http-proxy', 'bench/')}`,
    `- HAProxy ${debian('haproxy')}, nginx ${debian('nginx')}, njs ${debian('libnginx-mod-http-js')}, Lua ${debian('libnginx-mod-http-lua')} with luaossl ${debian('lua-luaossl')}, Redis ${debian('redis-server')}, wrk ${debian('wrk')}`,
  ];
}

function installed(name: string, at = ''): string {
  const file = `${ROOT}${at}node_modules/${name}/package.json`;
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function debian(name: string): string {
  const status = execFileSync('dpkg-query', ['--status', name], { encoding: 'utf8' });
  return /^Version: (.*)$/m.exec(status)?.[1] ?? 'unknown';
}
