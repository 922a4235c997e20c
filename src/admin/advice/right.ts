// The sentences on what is right: one for each subject that is configured and of which the advice says nothing wrong.
// `check` and the status page show them. One must never be an all-clear beside a failure of the same subject.
import { DIAGNOSES, type Subject } from '../../core/diagnoses-and-remedies.ts';
import type { StatusSnapshot } from '../snapshot.ts';
import type { Found } from './words.ts';

export interface Right {
  readonly id: Subject;
  readonly message: string;
}

/** True beside a warning on the same subject, such as a secret that ends soon: these look for themselves. */
const BESIDE_WARNINGS: ReadonlySet<string> = new Set(['secrets', 'upstream'] satisfies Subject[]);

export function rightOf(s: StatusSnapshot, wrong: readonly Found[]): readonly Right[] {
  const subjects = new Set<string>(wrong.map(({ id }) => DIAGNOSES[id].subject));
  const isRight = (id: string) => BESIDE_WARNINGS.has(id) || !subjects.has(id);
  const all = Object.entries(sentences(s)) as [Subject, string | false][];
  return all.flatMap(([id, message]) => (message !== false && isRight(id) ? { id, message } : []));
}

/** False if nothing of the kind is configured, or it is not so. */
function sentences(s: StatusSnapshot): Partial<Record<Subject, string | false>> {
  const { upstream, certificates, lastReload, once, deferred } = s;
  const verify = s.routes.filter(({ action }) => action === 'verify');
  const live = verify.map(({ path, liveSecrets }) => `${liveSecrets} on ${path}`).join(', ');
  const ends = certificates.map(
    ({ file, notAfter }) => `${file} until ${new Date(notAfter).toISOString().slice(0, 10)}`,
  );
  const reloaded = lastReload !== null && `The last reload worked, at ${new Date(lastReload.at).toISOString()}.`;
  return {
    ready: s.ready && !s.draining && `The proxy is ready (version ${s.version}).`,
    secrets: verify.length > 0 && verify.every(({ liveSecrets }) => liveSecrets > 0) && `Live secrets: ${live}.`,
    upstream: upstream.reachable && `The upstream ${upstream.url} accepts connections.`,
    exposed: upstream.exposure === 'hidden' && 'Clients cannot bypass the proxy.',
    certificates: ends.length > 0 && `TLS certificates: ${ends.join(', ')}.`,
    reload: reloaded || 'No reload since the start.',
    once: once !== null && `The store of delivered events (${once.store}) answers.`,
    redelivery: deferred !== null && `The store of deferred deliveries (${deferred.store}) works.`,
  };
}
