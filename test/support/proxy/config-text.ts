import type { Env } from '../../../src/config/environment.ts';
import { type LoadedConfig, parseConfig } from '../../../src/config/load.ts';

/** Parses a configuration file's text. If there is no file, both `text` and `file` are null. */
export function parseText(text: string | null, file: string | null, env: Env): LoadedConfig {
  return parseConfig({ file, bytes: text === null ? null : Buffer.from(text) }, env);
}
