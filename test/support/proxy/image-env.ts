// The settings that the image gives the process, read from the Dockerfile, so memory is measured as it ships. The
// heap's share of the container's memory is left out: outside of a container it would be a share of the machine's. Who
// asks whether memory stays flat adds `heapOf`: with a machine's heap V8 collects late, and grows by as much as it likes.
import { read } from '../machine/tools.ts';

const DOCKERFILE = read('Dockerfile').replaceAll(/\\\n/g, ' ');
const MEASURED = /^(?:NODE_OPTIONS$|MALLOC_)/;
const SHARE_OF_CONTAINER = /--max-old-space-size-percentage=(\d+)/;

export const IMAGE_ENV: Readonly<Record<string, string>> = Object.fromEntries(
  [...DOCKERFILE.matchAll(/^ENV (.*)$/gm)]
    .flatMap(([, line = '']) => [...line.matchAll(/(\w+)=(?:"([^"]*)"|(\S+))/g)])
    .map(([, name = '', quoted, bare = '']) => [name, withoutShare((quoted ?? bare).split(' ')).join(' ')])
    .filter(([name = '']) => MEASURED.test(name)),
);

/** The flags between node and the program in ENTRYPOINT. */
export const IMAGE_FLAGS: readonly string[] = withoutShare(entrypoint().slice(1, -1));

/** The flag that limits the heap to the share that the image gives it in a container of so many MiB. */
export function heapOf(containerMib: number): string {
  const share = SHARE_OF_CONTAINER.exec(DOCKERFILE)?.[1];
  if (share === undefined) throw new Error('the Dockerfile gives the heap no share');
  return `--max-old-space-size=${(containerMib * Number(share)) / 100}`;
}

function entrypoint(): readonly string[] {
  const words = /^ENTRYPOINT (\[.*\])$/m.exec(DOCKERFILE)?.[1];
  if (words === undefined) throw new Error('the Dockerfile has no ENTRYPOINT');
  return JSON.parse(words) as readonly string[];
}

function withoutShare(flags: readonly string[]): string[] {
  return flags.filter((flag) => !SHARE_OF_CONTAINER.test(flag));
}
