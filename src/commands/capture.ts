// `capture`: writes the next requests that the running proxy refuses to files, as they came. It must load no part of
// the proxy, whose memory it may share, but the limits.
import { Buffer } from 'node:buffer';
import { existsSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { CONFIG_FILE, namedConfig } from '../base/default-places.ts';
import { codeOf } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { fileProblem } from '../base/regular-file.ts';
import { MOST_CAPTURED } from '../downstream/request-copies.ts';
import { command, type Io } from './command.ts';
import { UsageError, usageError } from './options.ts';
import { adminUrl, begun, whyNoAnswer } from './running-proxy.ts';
import { milliseconds } from './waiting.ts';

export const run = command('capture', async ({ values }, io) => {
  const { count = '10', for: duration = '10m', out = '.', reason, config } = values;
  if (!/^[1-9][0-9]{0,4}$/.test(count) || Number(count) > MOST_CAPTURED.requests) {
    throw usageError(`--count takes a number from 1 to ${MOST_CAPTURED.requests}`);
  }
  const ms = milliseconds('--for', duration);
  if (ms === 0 || ms > MOST_CAPTURED.ms) throw usageError('--for takes a duration from 1ms to 24h');
  const query = new URLSearchParams({ count, ms: String(ms), ...(reason !== undefined && { reason }) });
  const url = await adminUrl(`/-/capture?${query}`, config, io);
  // Not recursive: Node's never ends where a directory takes none, such as /proc (test/integration/capture.test.ts).
  await mkdir(out, { mode: 0o700 }).catch(async (error: unknown) => {
    if (!(await stat(out).catch(() => null))?.isDirectory())
      throw new UsageError(`cannot create ${out} in its parent: ${fileProblem(error)}`);
  });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const response = await begun({ url, body: Buffer.alloc(0) }, stop.signal).catch(whyNoAnswer);
    if (typeof response !== 'string') return await written(response, { out, config, reason, stop: stop.signal }, io);
    if (!stop.signal.aborted) io.stderr(`no answer from ${url.origin}: ${response}\n`);
    return 1;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
});

/** `config`: the configuration's file, if it was given. */
interface Options {
  readonly out: string;
  readonly config: string | undefined;
  readonly reason: string | undefined;
  readonly stop: AbortSignal;
}

/** Writes each request of the answer to a file, and says which; returns the exit code. */
async function written(
  response: IncomingMessage,
  { out, config, reason: asked, stop }: Options,
  io: Io,
): Promise<number> {
  if (response.statusCode !== 200) return refusal(response, io);
  io.stderr('waiting for requests that the proxy refuses; Ctrl-C ends it\n');
  // The command that repeats a verdict needs the proxy's routes and secrets.
  const named = namedConfig(config, io.env) ?? (existsSync(CONFIG_FILE) ? CONFIG_FILE : null);
  const routes = named === null ? '' : ` --config ${named}`;
  let files = 0;
  let missed = 0;
  let end = `no request was refused${asked === undefined ? '' : ` as ${asked}`} meanwhile`;
  try {
    for await (const { about, bytes } of framesOf(response)) {
      missed = about.missed;
      if (bytes === null) continue;
      const { reason, route, client, hint } = about;
      const file = await write(out, reason, bytes, ++files);
      const why = hint === null ? '' : `: ${printable(hint)}`;
      io.stdout(`${file}  ${printable(`${route} from ${client}`)}${why}\n`);
      io.stdout(`  entrupy-signature-proxy verify --request ${file}${routes}\n`);
    }
  } catch (error) {
    // Files that were written stay. A proxy that stops cuts the answer; Ctrl-C does, too.
    if (error instanceof UsageError) throw error;
    if (!stop.aborted) io.stderr(`the capture broke off: ${whyNoAnswer(error)}\n`);
    end = 'no request was captured';
  }
  if (missed > 0) end = `${missed} were refused that could not be copied or read in time`;
  if (missed > 0 || files === 0) io.stderr(`${end}\n`);
  return files > 0 ? 0 : 1;
}

async function refusal(response: IncomingMessage, io: Io): Promise<number> {
  const { statusCode } = response;
  const { message = '' } = (await json(response).catch(() => ({}))) as { message?: string };
  if (statusCode === 400) throw new UsageError(`the proxy refuses the options: ${printable(String(message))}`);
  const hint = statusCode === 403 ? 'only loopback and the networks of admin.actionsFrom may capture' : message;
  io.stderr(`the proxy answers ${statusCode}: ${printable(String(hint))}\n`);
  return 1;
}

/** Writes the request to a file of its own: a number that is taken is passed over. Returns the file's path. */
async function write(out: string, reason: string, bytes: Buffer, first: number): Promise<string> {
  for (let number = first; ; number++) {
    const file = join(out, `${String(number).padStart(3, '0')}-${reason.replace(/[^a-z_]/g, '')}.http`);
    try {
      await writeFile(file, bytes, { flag: 'wx', mode: 0o600 });
      return file;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw new UsageError(`cannot write ${file}: ${fileProblem(error)}`);
    }
  }
}

/** The proxy's words about a request; in the last frame, which has no request, only `missed`. */
interface About {
  readonly reason: string;
  readonly route: string;
  readonly client: string;
  readonly hint: string | null;
  readonly missed: number;
  readonly bytes?: number;
}

/** The frames of the answer: a line of JSON, then the request's bytes, whose number the line has. */
async function* framesOf(response: AsyncIterable<Buffer>) {
  let pieces: Buffer[] = [];
  let missing = 0;
  for await (const piece of response) {
    pieces.push(piece);
    missing -= piece.length;
    if (missing > 0) continue; // joined once they are all there
    let rest: Buffer = Buffer.concat(pieces);
    for (let from = rest.indexOf('\n') + 1; from > 0; from = rest.indexOf('\n') + 1) {
      const about = JSON.parse(rest.toString('utf8', 0, from)) as About;
      const end = from + (about.bytes ?? 0);
      missing = end - rest.length;
      if (missing > 0) break;
      yield { about, bytes: about.bytes === undefined ? null : rest.subarray(from, end) };
      rest = rest.subarray(end);
    }
    pieces = [rest];
  }
}
