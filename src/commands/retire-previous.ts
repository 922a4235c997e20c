// `retire-previous`: has the running proxy end every overlap at once, after a leak. It must load no part of the proxy.
import { printable } from '../base/printable.ts';
import { command } from './command.ts';
import { adminUrl, askWhole, readAs } from './running-proxy.ts';

/** Milliseconds. The proxy reads every source, and each again if it changes. */
const TIMEOUT = 30_000;

export const run = command('retire-previous', async ({ values }, io) => {
  const url = await adminUrl('/-/retire-previous', values.config, io);
  const { status, text } = await askWhole({ url, body: Buffer.alloc(0), timeout: TIMEOUT });
  const { read, retired, error } = readAs<Answer>(text);
  if (status === null || !Array.isArray(read)) {
    const other = `${url.href} answers ${status} ${printable(text.slice(0, 200))}`;
    io.stderr(`${status === null ? `no answer from ${url.href}: ${text}` : other}\n`);
    return 1;
  }
  io.stdout(`read: ${read.join(', ') || 'none'}\nended: ${retired} ${retired === 1 ? 'overlap' : 'overlaps'}\n`);
  if (error === undefined) return 0;
  io.stderr(`cannot be read whole: ${error}\nIts next value begins another overlap: repair it, then run this again.\n`);
  return 1;
});

type Answer = { readonly read: readonly string[]; readonly retired: number; readonly error?: string };
