import { ConfigError, type LoadedConfig, parseConfig } from '../../../src/config/load.ts';
import type { Problem } from '../../../src/config/problems.ts';
import type { Env } from '../../../src/config/variables.ts';

/** Parses a configuration file's text. If there is no file, both `text` and `file` are null. */
export function parseText(text: string | null, file: string | null, env: Env): LoadedConfig {
  return parseConfig({ file, bytes: text === null ? null : Buffer.from(text) }, env);
}

/** The problems that it throws; none if a configuration is accepted. */
export function problemsOf(run: () => unknown): readonly Problem[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
