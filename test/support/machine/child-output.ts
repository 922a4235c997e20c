// Follows the output of a child process, and waits for a given log line: tests wait for events, they never sleep.
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { within } from './within.ts';

export type LogLine = Readonly<Record<string, unknown>>;

export function followOutput(child: ChildProcessByStdio<null, Readable, Readable>) {
  let [stdout, stderr] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  /** All of stdout and stderr. */
  const text = () => stdout + stderr;
  /** Each line of stdout that is a JSON object. */
  const lines = () => stdout.split('\n').slice(0, -1).flatMap(parseLine);
  /** Each whole line that is no log line of the program, such as a warning of Node's, and all of stderr. */
  const foreign = () => {
    const others = stdout
      .split('\n')
      .slice(0, -1)
      .filter((line) => !TEXT_LINE.test(line) && !parseLine(line).some(isOurs));
    return [...others, ...stderr.split('\n').filter((line) => line !== '')];
  };
  /** The first line, past or future, that satisfies. */
  const waitFor = (satisfies: (line: LogLine) => boolean, what = 'a log line') =>
    within<LogLine>(
      what,
      (done) => {
        const watch = () => {
          const line = lines().find(satisfies);
          if (line === undefined) return;
          watchers.delete(watch);
          done(line);
        };
        watchers.add(watch);
        watch();
      },
      () => `; the proxy printed:\n${text()}`,
    );
  return { text, lines, foreign, waitFor };
}

/** With `log.format: text`. */
const TEXT_LINE = /^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:debug|info |warn |error) | {4}[a-z_]+: )/;
const isOurs = ({ time, level, msg }: LogLine) => [time, level, msg].every((field) => typeof field === 'string');

function parseLine(line: string): LogLine[] {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? [value as LogLine] : [];
  } catch {
    return [];
  }
}
