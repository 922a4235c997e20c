// Front proxies that pool their connections to the proxy, so that requests of strangers and of signers follow one another
// on one connection. Each on a free loopback port.
import { fileURLToPath } from 'node:url';
import { startOnFreePort } from '../support/machine/on-free-port.ts';
import { runs } from './kinds.ts';

export type FrontKind = ReturnType<typeof kind>;

/** How it speaks to the proxy. */
type Over = 'TCP' | 'TLS';

interface Place {
  readonly over: Over;
  readonly port: number;
  readonly behind: number;
  readonly directory: string;
}

interface Recipe {
  readonly program: string;
  readonly args: (file: string) => string[];
  readonly configuration: (place: Place) => string;
}

const HAPROXY: Recipe = {
  program: 'haproxy',
  args: (file) => ['-db', '-f', file],
  configuration: ({ port, behind, over }) => `
global
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend clients
  bind 127.0.0.1:${port}
  default_backend proxy
backend proxy
  server one 127.0.0.1:${behind}${over === 'TLS' ? ' ssl verify none' : ''}
`,
};

const NGINX: Recipe = {
  program: 'nginx',
  args: (file) => ['-e', 'stderr', '-c', file],
  configuration: ({ port, behind, directory, over }) => `
daemon off; pid ${directory}/nginx.pid; worker_processes 1;
events {}
http {
  access_log off; keepalive_requests 100000; client_max_body_size 0;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  upstream proxy { server 127.0.0.1:${behind}; keepalive 16; keepalive_requests 100000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${over === 'TLS' ? 'https' : 'http'}://proxy; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_buffering off;
    }
  }
}
`,
};

const APACHE: Recipe = {
  program: 'apache2',
  args: (file) => ['-D', 'FOREGROUND', '-f', file],
  configuration: ({ port, behind, directory }) => `
${['mpm_event', 'authz_core', 'proxy', 'proxy_http']
  .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`)
  .join('\n')}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${directory}/apache.pid
DefaultRuntimeDir ${directory}
ErrorLog ${directory}/error.log
LogLevel crit
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 30
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:${behind}/ enablereuse=on keepalive=On flushpackets=on
`,
};

const NODE: Recipe = {
  program: process.execPath,
  args: (file) => [fileURLToPath(new URL('node_front.mjs', import.meta.url)), file],
  configuration: ({ port, behind }) => JSON.stringify({ port, behind }),
};

const kind = (name: string, recipe: Recipe, lacking: string, over: Over = 'TCP') => ({
  name: over === 'TLS' ? `${name}, TLS` : name,
  over,
  /** The front's Debian package, if it can't run here; null if it can. */
  missing: () => (runs(recipe.program, '-v') ? null : lacking),
  start: (behind: number) =>
    startOnFreePort({ ...recipe, configuration: (place) => recipe.configuration({ ...place, behind, over }) }),
});

export const FRONT_KINDS: readonly FrontKind[] = [
  kind('HAProxy', HAPROXY, 'haproxy'),
  kind('HAProxy', HAPROXY, 'haproxy', 'TLS'),
  kind('nginx', NGINX, 'nginx-light'),
  kind('nginx', NGINX, 'nginx-light', 'TLS'),
  kind('Apache', APACHE, 'apache2-bin'),
  kind('Node', NODE, 'nodejs'),
];
