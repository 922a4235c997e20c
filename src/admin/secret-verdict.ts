// The verdict on each secret: can it be removed?

import { isPrevious } from '../core/keyring.ts';
import { whyOutside } from '../core/secret-validity.ts';
import { isUsedOutside, onlySecretOf } from './advice-secrets.ts';
import { count } from './amounts.ts';
import type { SecretStatus, StatusSnapshot } from './status-snapshot.ts';
import { dateText, HOUR, spanText } from './times.ts';

/** Says whether a secret can be removed: only if it verified nothing while another one did. */
export function secretVerdict(secret: SecretStatus, s: StatusSnapshot): string {
  const { id, state, lastMatch, notAfter } = secret;
  if (state === 'unusable') return 'cannot be used: fix it, or remove its entry';
  if (state === 'not_yet') return whyOutside(state, secret, dateText);
  const needed = neededBy(secret, s);
  if (needed !== null) return needed;
  if (state === 'expired') {
    if (isUsedOutside(secret, s)) return 'expired, and a client still signs with it: see the refusals below';
    return isPrevious(id) ? 'expired: it is removed automatically' : 'expired: can be removed';
  }
  const silent = lastMatch > 0 ? s.now - lastMatch * 1000 : s.now - s.startedAt;
  if (lastMatch > 0 && silent < HOUR) return 'in use: keep it';
  const span = spanText(silent);
  const idle = lastMatch > 0 ? `verified nothing for ${span}` : `verified nothing since the start, ${span} ago`;
  const alone = onlySecretOf(secret, s);
  if (alone.length > 0) return `the only live secret of ${alone.join(', ')}: keep it (it has ${idle})`;
  if (isPrevious(id)) {
    return `${idle}; expires by itself${notAfter === null ? '' : ` in ${spanText(notAfter - s.now)}`}`;
  }
  const others = s.secrets.some((other) => other.id !== id && other.lastMatch > lastMatch);
  if (!others) return `${idle}, and neither did any other: too early to tell`;
  return `${idle}; can be removed once that is longer than your sender retries`;
}

/** Without the secret nothing verifies what it signed, so that would never be sent. Null if there is none. */
function neededBy({ id, state, notAfter, deferred }: SecretStatus, s: StatusSnapshot): string | null {
  if (deferred > 0) {
    const many = `${count(deferred, 'deferred delivery is', 'deferred deliveries are')} signed with it`;
    if (!isPrevious(id)) return `${state === 'expired' ? 'expired, but keep it' : 'keep it'}: ${many}`;
    return state === 'expired' ? null : `${many}, and not sent any more after its end${endOf(notAfter, s.now)}`;
  }
  const unread = s.deferred?.unread ?? 0;
  if (unread === 0 || isPrevious(id)) return null;
  return `keep it until ${count(unread, 'deferred delivery has', 'deferred deliveries have')} been read: it may sign some`;
}

function endOf(notAfter: number | null, now: number): string {
  return notAfter === null ? '' : ` in ${spanText(notAfter - now)}`;
}
