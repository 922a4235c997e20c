#!/usr/bin/env node
// The entry point: maps the command line to a command, loaded only when it runs, and the result to an exit code.
import { killSelf, threads } from './base/blocked-threads.ts';
import { didYouMean } from './base/nearest-word.ts';
import { COMMANDS } from './commands/all.ts';
import { processIo } from './commands/command.ts';

async function main(argv: readonly string[]): Promise<number> {
  const [first = '', second = ''] = argv;
  const io = processIo(process);
  if (first === 'help' && COMMANDS.has(second)) return main([second, '--help']);
  if (first === '--help' || first === '-h' || first === 'help') {
    io.stdout((await import('./commands/help.ts')).usage());
    return 0;
  }
  if (first === '--version' || first === 'version') {
    io.stdout(`${(await import('./base/default-places.ts')).VERSION}\n`);
    return 0;
  }
  const named = first !== '' && !first.startsWith('-');
  const name = named ? first : 'serve';
  const command = COMMANDS.get(name);
  if (command !== undefined) return (await command()).run(named ? argv.slice(1) : argv, io);
  const given = JSON.stringify(name.slice(0, 64));
  const meant = didYouMean(name, [...COMMANDS.keys()]);
  io.stderr(`entrupy-signature-proxy: there is no command ${given}${meant}; see --help\n`);
  return 2;
}

/** Milliseconds for writing the last lines before a process with a hanging thread is killed. */
const FLUSH_MS = 250;

// Setting the exit code lets stdout drain into a slow pipe; process.exit would lose the last lines.
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`entrupy-signature-proxy: ${text}\n`);
  process.exitCode = 1;
}
// A thread that still runs here hangs, and would keep the process alive forever.
if (threads.size > 0) setTimeout(() => killSelf(process.exitCode || undefined), FLUSH_MS);
