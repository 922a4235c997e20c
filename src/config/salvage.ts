// What can still be checked of a configuration that has mistakes: secrets and TLS files whose own entries are sound.
// `check-config` alone reads it; nothing may ever run on it.
import type { ListenTls, SecretSource, UpstreamTls } from './config.ts';
import type { Finding } from './problems.ts';
import { resolveListenTls, resolveSecret, resolveUpstreamTls } from './resolve.ts';
import type { Written } from './written.ts';

export interface Salvaged {
  readonly secrets: readonly SecretSource[];
  readonly listen: { readonly tls: ListenTls | null };
  readonly upstream: { readonly tls: UpstreamTls | null };
}

export function salvage({ secrets, listen, upstream }: Written, findings: readonly Finding[]): Salvaged {
  const isSound = (...path: readonly (string | number)[]) =>
    !findings.some((finding) => path.every((step, depth) => finding.path[depth] === step));
  return {
    secrets: secrets.flatMap(({ path, value }) => (isSound(...path) ? [resolveSecret(value)] : [])),
    listen: { tls: isSound('listen', 'tls') ? resolveListenTls(listen.value.tls) : null },
    upstream: { tls: isSound('upstream', 'tls') ? resolveUpstreamTls(upstream.value.tls) : null },
  };
}
