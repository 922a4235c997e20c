// `retire-previous`: has the running proxy end every overlap at once, after a leak. It must load no part of the proxy.
import type { Retired } from '../admin/handlers.ts';
import { ADMIN_PORT } from '../base/default-places.ts';
import { printable } from '../base/printable.ts';
import { CONFIG_OPTION, command } from './command.ts';
import { adminUrl, askWhole, readAs } from './running-proxy.ts';

export const definition = {
  name: 'retire-previous',
  usage: '[--config FILE]',
  about: `
After a leak: has the proxy on this host or in this container read every secret, then end the overlap of each replaced
value at once, and prints what it read and ended. Put the new value in place first. It ends them in this one process:
run it in each pod. The admin port is that of $ADMIN_HOST and $ADMIN_PORT, else of the configuration, else ${ADMIN_PORT}.`,
  options: CONFIG_OPTION,
  exits: {
    0: 'every source was read, every overlap has ended',
    1: 'a source cannot be read whole, or no proxy answers',
  },
} as const;

/** Milliseconds. The proxy reads every source, and each again if it changes. */
const TIMEOUT = 30_000;

export const run = command(definition, async ({ values }, io) => {
  const url = await adminUrl('/-/retire-previous', values.config, io);
  const { status, text } = await askWhole({ url, body: Buffer.alloc(0), timeout: TIMEOUT });
  const answer = readAs<Answer>({ read: ['string'], retired: 'number' }, text);
  if (status === null || answer === null) {
    const other = `${url.href} answers ${status} ${printable(text.slice(0, 200))}`;
    io.stderr(`${status === null ? `no answer from ${url.href}: ${text}` : other}\n`);
    return 1;
  }
  const { read, retired, stranded = 0, error } = answer;
  io.stdout(`read: ${read.join(', ') || 'none'}\nended: ${retired} ${retired === 1 ? 'overlap' : 'overlaps'}\n`);
  if (stranded > 0) {
    io.stdout(`no longer sent: ${stranded} deferred, signed with an ended value; \`deferred list\` shows them\n`);
  }
  if (error === undefined) return 0;
  io.stderr(`cannot be read whole: ${error}\nIts next value begins another overlap: repair it, then run this again.\n`);
  return 1;
});

type Answer = Omit<Retired, 'unread'> & { readonly error?: string };
