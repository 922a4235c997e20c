#!/usr/bin/env node
// The entry point: it maps the command line to a command and the result to an exit code. A command is loaded only when
// it runs.
import { COMMANDS } from './commands/all.ts';
import { processIo } from './commands/command-line.ts';

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { does }]) => `  ${name.padEnd(14)}${does}`);
  return `Usage: entrupy-signature-proxy [COMMAND] [OPTIONS]

Verifies Entrupy webhook signatures in front of any upstream.

${lines.join('\n')}

  --help, --version; each command has its own --help
`;
}

async function main(argv: readonly string[]): Promise<number> {
  const [first = ''] = argv;
  const io = processIo(process);
  if (first === '--help' || first === '-h' || first === 'help') {
    io.stdout(usage());
    return 0;
  }
  if (first === '--version') {
    io.stdout(`${(await import('./base/version.ts')).VERSION}\n`);
    return 0;
  }
  const named = first !== '' && !first.startsWith('-');
  const name = named ? first : 'serve';
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    io.stderr(`entrupy-signature-proxy: there is no command ${JSON.stringify(name.slice(0, 64))}; see --help\n`);
    return 2;
  }
  return (await command.load()).run(named ? argv.slice(1) : argv, io);
}

// Setting the exit code lets stdout drain into a slow pipe; process.exit would lose the last lines.
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`entrupy-signature-proxy: ${text}\n`);
  process.exitCode = 1;
}
