// The warnings that the log has once while they hold: on the configuration, and on secrets outside their validity.
import { outsideText, stateOf } from '../core/secret-validity.ts';
import { isPreviousValue } from '../secrets/rotation.ts';
import type { Ruleset } from './ruleset.ts';

/** Log lines about the config, its sources, certificates and secrets. `now` is epoch milliseconds. */
export function warningsOf({ loaded, warnings, materials }: Ruleset, now: number) {
  const problems = [
    ...loaded.warnings.map(({ key, message: problem }) => ({ key, problem })),
    ...warnings.map((problem) => ({ problem })),
    ...materials.flatMap(({ id, source, warnings }) => warnings.map((problem) => ({ secret: id, source, problem }))),
  ];
  const outside = materials
    .filter((secret) => secret.key !== null && !isPreviousValue(secret) && stateOf(secret, now) !== 'live')
    .map((secret) => ({ secret: secret.id, source: secret.source, problem: outsideText(secret, now) }));
  return [
    ...problems.map((fields) => ({ msg: 'configuration warning', ...fields })),
    ...outside.map((fields) => ({ msg: 'a secret is outside its validity', ...fields })),
  ];
}
