// The answer of /api/status, as far as commands read it. Another program may listen on the port, or another version of
// the proxy: what has not this shape must neither end `check` with an error nor pass for a proxy that is well.
import type { ApiStatus } from '../../admin/advice/advice.ts';
import { DIAGNOSES } from '../../core/diagnoses-and-remedies.ts';
import { askWhole } from '../ask.ts';

type Is = (value: unknown) => boolean;

const isText: Is = (value) => typeof value === 'string';
const isFlag: Is = (value) => typeof value === 'boolean';
const oneOf =
  (...words: readonly string[]): Is =>
  (value) =>
    isText(value) && words.includes(value as string);
const isState = oneOf('failed', 'warning', 'ok', 'note');
const isDiagnosis: Is = (value) => isText(value) && Object.hasOwn(DIAGNOSES, value as string);
const orNull =
  (is: Is): Is =>
  (value) =>
    value === null || is(value);
const list =
  (is: Is): Is =>
  (value) =>
    Array.isArray(value) && value.every(is);

function keys(shape: Readonly<Record<string, Is>>): Is {
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(shape).every(([key, is]) => Object.hasOwn(value, key) && is(value[key as keyof typeof value]));
}

const FOUND = { id: isDiagnosis, state: isState, message: isText };

const isStatus = keys({
  config: keys({ file: orNull(isText), sha256: isText, awaitingRestart: list(isText) }),
  upstream: keys({ reachable: isFlag, error: orNull(isText), exposure: oneOf('off', 'unknown', 'exposed', 'hidden') }),
  lastReload: orNull(keys({ ok: isFlag })),
  right: list(keys({ id: isText, message: isText })),
  advice: list(keys({ ...FOUND, remedy: isText, page: isText, follows: list(keys(FOUND)) })),
});

/** /api/status connects to the upstream twice if it must, a second each. */
const TIMEOUT = 5_000;

/** Why there is no status, if the answer is a text. */
export async function askStatus(admin: URL): Promise<ApiStatus | string> {
  const { status: code, text } = await askWhole({ url: new URL('/api/status', admin), timeout: TIMEOUT });
  if (code === null) return text;
  return (code === 200 ? readStatus(text) : null) ?? `it answers ${code}, but not as this version of the proxy does`;
}

/** Null if it is not what this version of the proxy answers. */
export function readStatus(text: string): ApiStatus | null {
  try {
    const value: unknown = JSON.parse(text);
    return isStatus(value) ? (value as ApiStatus) : null;
  } catch {
    return null;
  }
}
