// A headless Chromium, driven over its DevTools protocol, for tests of what a person sees. It ends only the process
// that it started and leaves no file behind.
import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnTied } from './children.ts';
import { haveTools } from './tools.ts';
import { within } from './within.ts';

export const HAS_CHROMIUM = haveTools('chromium');

export interface View {
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
  /** Pixels of a picture for each CSS pixel; 1 by default. */
  readonly scale?: number;
}

export type Page = Awaited<ReturnType<typeof attach>>;

export type Browser = Awaited<ReturnType<typeof openBrowser>>;

export async function openBrowser() {
  const directory = await mkdtemp(join(tmpdir(), 'chromium-test-'));
  const child = spawnTied(
    'chromium',
    [
      '--headless',
      '--no-sandbox', // these tests may run as root, in a container, and open nothing but our own page
      '--disable-gpu',
      '--hide-scrollbars',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${directory}`,
      '--remote-debugging-port=0',
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const close = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    return { page: await attach(await debuggerUrl(child.stderr)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function debuggerUrl(stderr: NodeJS.ReadableStream): Promise<string> {
  let said = '';
  return within<string>('Chromium to start', (done) =>
    stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const url = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
      if (url !== undefined) done(url);
    }),
  );
}

type Parameters = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Parameters;
  readonly result?: Parameters;
  readonly error?: { readonly message: string };
}

/** One page: the browser's first. */
async function attach(browserUrl: string) {
  const { origin } = new URL(browserUrl.replace('ws:', 'http:'));
  const targets = (await (await fetch(`${origin}/json/list`)).json()) as {
    type: string;
    webSocketDebuggerUrl: string;
  }[];
  const wire = await openWire(targets.find(({ type }) => type === 'page')?.webSocketDebuggerUrl ?? '');
  let viewWidth = 0;
  const requests: string[] = [];
  const complaints: string[] = [];
  wire.events.on('Network.requestWillBeSent', ({ request }) => requests.push((request as { url: string }).url));
  wire.events.on('Log.entryAdded', ({ entry }) => complaints.push((entry as { text: string }).text));
  wire.events.on('Runtime.exceptionThrown', (params) => complaints.push(JSON.stringify(params)));
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await wire.command(`${domain}.enable`);
  return {
    requests,
    /** Complaints of the browser: CSP violations, the console. */
    complaints,
    async open(url: string, { width, height, scheme, scale = 1 }: View) {
      viewWidth = width;
      const features = [{ name: 'prefers-color-scheme', value: scheme }];
      await wire.command('Emulation.setEmulatedMedia', { features });
      await wire.command('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: scale,
        mobile: width < 600,
      });
      const loaded = wire.next('Page.loadEventFired');
      await wire.command('Page.navigate', { url });
      await loaded;
    },
    async evaluate<T>(expression: string) {
      const { result, exceptionDetails } = await wire.command('Runtime.evaluate', { expression, returnByValue: true });
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return (result as { value: T }).value;
    },
    nextLoad: async () => void (await wire.next('Page.loadEventFired')),
    /** A PNG of the whole page, or of its first so many CSS pixels. */
    async screenshot(height?: number) {
      const clip = height !== undefined && { clip: { x: 0, y: 0, width: viewWidth, height, scale: 1 } };
      const { data } = await wire.command('Page.captureScreenshot', { captureBeyondViewport: true, ...clip });
      return Buffer.from(String(data), 'base64');
    },
  };
}

async function openWire(url: string) {
  const socket = new WebSocket(url);
  const answers = new Map<number, (message: Message) => void>();
  const events = new EventEmitter<Record<string, [Parameters]>>();
  socket.addEventListener('message', ({ data }) => {
    const message: Message = JSON.parse(String(data));
    if (message.id !== undefined) answers.get(message.id)?.(message);
    else events.emit(message.method ?? '', message.params ?? {});
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error(`no DevTools at ${url}`)), { once: true });
  });
  let last = 0;
  return {
    events,
    command(method: string, params: Parameters = {}) {
      const id = ++last;
      return within<Parameters>(method, (done, fail) => {
        answers.set(id, ({ result, error }) => {
          answers.delete(id);
          if (error === undefined) done(result ?? {});
          else fail(new Error(`${method}: ${error.message}`));
        });
        socket.send(JSON.stringify({ id, method, params }));
      });
    },
    next: (method: string) => within<Parameters>(method, (done) => events.once(method, done)),
  };
}
