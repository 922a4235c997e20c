// Changes to the files of a running proxy, and the reloads that they cause.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { replaceFile } from '../machine/files.ts';
import { eventually } from './proxied.ts';
import type { RunningProxy } from './proxy.ts';

/** The log lines about reloads so far, by message. */
export const reloads = (proxy: RunningProxy) =>
  proxy.logs().flatMap(({ msg }) => (msg === 'reloaded' || String(msg).startsWith('reload failed') ? [msg] : []));

export async function nextReload(proxy: RunningProxy, change: () => Promise<unknown>): Promise<void> {
  const before = reloads(proxy).length;
  await change();
  // More than one when a slow machine lets a poll see only the first of two changes.
  await eventually(() => reloads(proxy).length > before, true);
}

/** Replaces the config by the current one with changes. */
export async function edit(proxy: RunningProxy, change: (config: Record<string, object>) => object): Promise<void> {
  const now = parse(await readFile(proxy.configFile, 'utf8')) as Record<string, object>;
  await replaceFile(proxy.configFile, stringify(change(now)));
}

/** The same, and it is in use. */
export async function change(proxy: RunningProxy, how: (config: Record<string, object>) => object): Promise<void> {
  await edit(proxy, (config) => ({ ...config, ...how(config) }));
  await reload(proxy);
}

export const secretFile = (proxy: RunningProxy, id: string) => join(proxy.directory, 'secrets', id);

/** Changes the config's text and reloads it, which is answered with this status; returns what the answer says. */
export async function reload(
  proxy: RunningProxy,
  change: (config: string) => string = (config) => config,
  wanted = 200,
): Promise<string> {
  await replaceFile(proxy.configFile, change(await readFile(proxy.configFile, 'utf8')));
  const response = await fetch(`${proxy.adminUrl}/-/reload`, { method: 'POST' });
  if (response.status !== wanted) throw new Error(`the reload answered ${response.status}`);
  return response.text();
}
