// From the file and the environment to a Config: read, lay the environment over it, check, resolve. All mistakes are
// told at once. It must never act on what it reads: no file but its own is opened, no secret is looked at.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { LoadedConfig, Problem } from './config.ts';
import { keysAt } from './describe.ts';
import { applyEnvironment, type Env, type Overlay, type VariableNote } from './environment.ts';
import { ConfigError, type Finding, formatPath, inOrder, type KeyPath } from './problems.ts';
import { resolveConfig } from './resolve.ts';
import { crossErrors } from './rules.ts';
import { salvage } from './salvage.ts';
import { crossWarnings } from './warnings.ts';
import { readWritten } from './written.ts';
import { MAX_FILE_BYTES, readYaml, type Source } from './yaml.ts';

export { ConfigError, formatProblem } from './problems.ts';

const DEFAULT_FILE = '/etc/entrupy-signature-proxy/config.yaml';

/**
 * Loads `file`; where it is null, $ENTRUPY_PROXY_CONFIG, else the file in /etc if there is one, else the environment
 * alone. Throws ConfigError with every problem.
 */
export async function loadConfig(options: { file: string | null; env: Env }): Promise<LoadedConfig> {
  return parseConfigFile(await readConfigFile(options), options.env);
}

/** A configuration file's bytes; both null where the environment alone decides. */
export interface ConfigFile {
  readonly file: string | null;
  readonly bytes: Buffer | null;
}

/** Finds and reads the file that `loadConfig` would load. Throws ConfigError where it can't be read. */
export async function readConfigFile({ file, env }: { file: string | null; env: Env }): Promise<ConfigFile> {
  const named = file ?? (env.ENTRUPY_PROXY_CONFIG || null);
  const bytes = await readBytes(named ?? DEFAULT_FILE, { needed: named !== null });
  return { file: bytes === null ? null : (named ?? DEFAULT_FILE), bytes };
}

/** Throws ConfigError with every problem. */
export function parseConfigFile({ file, bytes }: ConfigFile, env: Env): LoadedConfig {
  return { ...parseConfig(decode(bytes, file), file, env), sha256: sha256(bytes ?? '') };
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

/** Parses a file's text; null for both where there is none. Pure; throws ConfigError with every problem, and nothing else. */
export function parseConfig(text: string | null, file: string | null, env: Env): LoadedConfig {
  const source = readYaml(text ?? '');
  const name = file ?? 'environment';
  if (source.syntax.length > 0) {
    throw new ConfigError(inOrder(source.syntax.map(({ path: _, ...place }) => ({ file: name, key: '', ...place }))));
  }
  const overlay = applyEnvironment(source.data, env);
  const findings: Finding[] = [];
  const written = readWritten(overlay.data, findings);
  const allFindings = [...findings, ...crossErrors(written)];
  const toProblem = problemMaker({ file, source, overlay });
  const flaws = source.flaws.map(({ path, ...place }): Problem => ({ file: name, key: safeKey(path), ...place }));
  const flawed = new Set(flaws.map(({ key }) => key));
  const errors = [
    ...flaws,
    ...overlay.errors.map(noteProblem),
    // What a flaw left empty is not said to be missing as well.
    ...allFindings.map(toProblem).filter(({ key }) => !flawed.has(key)),
  ];
  if (errors.length > 0) {
    const unsound = [...allFindings, ...source.flaws.map((flaw): Finding => ({ ...flaw, at: 'value' }))];
    throw new ConfigError(inOrder(errors), salvage(written, unsound));
  }
  const warnings = inOrder([...overlay.warnings.map(noteProblem), ...crossWarnings(written).map(toProblem)]);
  return { config: resolveConfig(written), file, sha256: sha256(text ?? ''), warnings };
}

const noteProblem = ({ variable, message }: VariableNote): Problem => variableProblem(variable, message);

function variableProblem(variable: string, message: string): Problem {
  return { file: 'environment', line: null, column: null, key: variable, message };
}

interface Origin {
  readonly file: string | null;
  readonly source: Source;
  readonly overlay: Overlay;
}

function problemMaker({ file, source, overlay }: Origin): (finding: Finding) => Problem {
  return ({ path, at, message }) => {
    const variable = overlay.variableOf(path);
    if (variable !== null) return variableProblem(variable, message);
    if (file === null) return variableProblem(safeKey(path), message);
    return { file, ...source.locate(path, at), key: safeKey(path), message };
  };
}

/** An unknown key under `secrets` may be a pasted value: the path ends before it. */
function safeKey(path: KeyPath): string {
  const unknown =
    path[0] !== 'secrets'
      ? -1
      : path.findIndex((step, depth) => typeof step === 'string' && !keysAt(path.slice(0, depth)).includes(step));
  return formatPath(unknown < 0 ? path : path.slice(0, unknown));
}

async function readBytes(file: string, { needed }: { needed: boolean }): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOENT' && !needed) return null;
    throw new ConfigError([fileProblem(file, `cannot be read: ${READ_ERRORS[code] ?? (code || 'unknown error')}`)]);
  }
}

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of its path is not a directory',
};

function fileProblem(file: string, message: string): Problem {
  return { file, line: null, column: null, key: '', message };
}

function decode(bytes: Buffer | null, file: string | null): string | null {
  if (bytes === null) return null;
  if (bytes.length > MAX_FILE_BYTES) throw new ConfigError([fileProblem(file ?? '', 'the file is larger than 1 MiB')]);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError([fileProblem(file ?? '', 'the file is not UTF-8 text')]);
  }
}
