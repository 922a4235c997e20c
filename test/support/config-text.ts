import type { Env } from '../../src/config/environment.ts';
import { type LoadedConfig, parseConfig } from '../../src/config/load.ts';

/** Parses a configuration file's text; both `text` and `file` are null where there is none. */
export function parseText(text: string | null, file: string | null, env: Env): LoadedConfig {
  return parseConfig({ file, bytes: text === null ? null : Buffer.from(text) }, env);
}
