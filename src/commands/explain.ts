// `explain METHOD TARGET`: prints what would happen to a request, and why, without sending it.
import { loadConfig } from '../config/load.ts';
import { type GateRefusal, RULES, refusedByGate, refusedForHeaders, refusedForQuery } from '../core/gate.ts';
import { Head } from '../core/head.ts';
import type { Policy } from '../core/policy.ts';
import { type Examination, type Route, reports, UNMATCHED } from '../core/routes.ts';
import { pathOf } from '../core/targets.ts';
import { buildPolicy } from '../runtime/ruleset.ts';
import { command, mistake } from './command-line.ts';

const help = `Usage: entrupy-signature-proxy explain METHOD TARGET [--config FILE]
         [--header 'NAME: VALUE']...

Prints every reading of the target that matters, which route takes it, which rule
of the gate refuses it, what happens to a request with this method, and why.
TARGET is the path and query as sent, quoted for the shell:

  entrupy-signature-proxy explain POST '/x/..;/notify' --config config.yaml

  --config FILE            the configuration, as for serve
  --header 'NAME: VALUE'   a header of the request, for the gate; may be repeated
  --help                   this text
`;

const options = { config: { type: 'string' }, header: { type: 'string', multiple: true } } as const;

export const run = command({ name: 'explain', help, options, positionals: ['METHOD', 'TARGET'] }, async (given, io) => {
  const [method, target] = given.positionals;
  if (method === undefined || target === undefined) throw mistake('METHOD and TARGET are both required');
  if (!/^[A-Z-]+$/.test(method)) {
    throw mistake(`${JSON.stringify(method)} is not a method: methods are upper case, such as GET or POST`);
  }
  const headers = (given.values.header ?? []).flatMap(readHeader);
  const hasHost = headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  const request = { method, target: Buffer.from(target, 'utf8').toString('latin1'), version: '1.1' };
  const head = new Head(request, [...(hasHost ? [] : ['Host', 'example.test']), ...headers]);
  const { config } = await loadConfig({ file: given.values.config ?? null, env: io.env });
  io.stdout(`${[`${method} ${target}`, '', ...explain(head, buildPolicy(config, []))].join('\n')}\n`);
  return 0;
});

/** Name and value, as two items of a head's flat list. The message must not repeat the text: it may be a signature. */
function readHeader(text: string): readonly string[] {
  const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw mistake("--header needs the form 'NAME: VALUE'");
  return [name, Buffer.from(value, 'utf8').toString('latin1')];
}

function explain(head: Head, { routes }: Policy): readonly string[] {
  const gate = refusedByGate(head);
  if (gate !== null) return refusalLines(gate, 'The gate refuses it on every route');
  const now = Date.now();
  const examination = routes.examine(pathOf(head.target), now);
  const { treatment } = examination;
  const lines = [...readings(examination), ''];
  const named = refusedForHeaders(head, treatment);
  if (named !== null) return [...lines, ...refusalLines(named, `The gate refuses it for ${treatment.path}`)];
  const query = refusedForQuery(head, treatment);
  if (query !== null) return [...lines, ...refusalLines(query, `${treatment.path} refuses it`)];
  return [...lines, outcome(treatment, head.method, now)];
}

function refusalLines({ rule, header, hint }: GateRefusal, who: string): readonly string[] {
  return [
    `${who}: rule ${rule}${header === null ? '' : `, header ${header}`}`,
    `  stops ${RULES[rule]}`,
    ...(hint === null ? [] : [`  ${hint}`]),
    '',
    '=> 400 bad_request',
  ];
}

function readings({ target, candidates, treatment }: Examination): string[] {
  const { marks, folded } = target;
  const lines = [
    `Path             ${target.path}`,
    ...[...new Set([folded, ...folded.lenient].map(({ text }) => `Folds to         /${text.join('/')}`))],
    `Marks            ${marks.length === 0 ? 'none: it has only one reading' : `${marks.join(', ')}: servers may read it differently`}`,
    'Routes that a server could match:',
  ];
  for (const { route, how } of candidates) {
    const why = {
      plain: route.path === UNMATCHED ? 'no route matches the path as sent' : 'matches the path as sent',
      prefix: 'matches the start of the folded path',
      'in order': 'its segments occur in this order in a target with marks',
    }[how];
    const does = route.action === 'verify' ? `verify, ${route.mode}` : route.action;
    lines.push(`  ${route.path.padEnd(20)} ${does.padEnd(16)} ${why}`);
  }
  if (candidates.length > 1) lines.push(`The strictest wins: ${treatment.path}`);
  return lines;
}

function outcome(route: Route, method: string, now: number): string {
  if (route.action === 'reject') return '=> 404 route_rejected';
  if (route.methods !== null && !route.methods.includes(method)) {
    const status = reports(route, now) ? 'forwarded, reported as' : '405';
    return `=> ${status} method_not_allowed: ${route.path} allows ${route.methods.join(', ') || 'no method at all'}`;
  }
  if (route.action === 'forward') return `=> forwarded unverified by ${route.path}`;
  const ids = route.secrets?.join(', ') || 'none, so every request is refused';
  const secrets = route.secrets === null ? 'any live secret' : `one of: ${ids}`;
  const others = reports(route, now)
    ? 'report mode: an invalid request is forwarded too, and counted as reported'
    : 'a valid request is forwarded unchanged, any other gets 401';
  return `=> verified by ${route.path}: signed with ${secrets}; body up to ${route.maxBody} bytes\n   ${others}`;
}
