// `explain METHOD TARGET`: prints what would happen to a request, and why, without sending it.
import { createSecretKey, randomBytes } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { type Admission, admit, arrivalOf, type Refused } from '../core/admission.ts';
import { REASONS } from '../core/decision.ts';
import { GATE, RULES } from '../core/gate.ts';
import type { Policy } from '../core/policy.ts';
import { Head } from '../core/request-head.ts';
import { type Examination, type Route, reports, UNMATCHED } from '../core/routes.ts';
import { looksLikeSignature, SIGNATURE_HEADER, SIGNATURE_PREFIX } from '../core/signature.ts';
import { pathOf } from '../core/targets.ts';
import { createDiagnosis } from '../hints/diagnose.ts';
import { policyWith } from '../runtime/ruleset.ts';
import { command, type Io, usageError } from './command-line.ts';
import { CONFIG_OPTION, JSON_OPTION } from './definition.ts';

export const definition = {
  name: 'explain',
  usage: "METHOD TARGET [--config FILE] [--header 'NAME: VALUE']...",
  about: `
Prints every reading of the target that matters, which route takes it, which rule
of the gate refuses it, what happens to a request with this method, and why. It reads
no secret: every one that the configuration names counts as live, and a request without
a signature as one with a signature of the right form. TARGET is the path and query as sent, quoted for the shell:

  entrupy-signature-proxy explain POST '/x/..;/notify' --config config.yaml`,
  options: {
    ...CONFIG_OPTION,
    header: {
      type: 'string',
      multiple: true,
      value: "'NAME: VALUE'",
      does: 'a header of the request; may be repeated',
    },
    ...JSON_OPTION,
  },
  positionals: ['METHOD', 'TARGET'],
  exits: [
    ['0', 'explained, whatever would happen to the request'],
    ['2', 'the command line or the configuration cannot be used'],
  ],
  json: [
    ['method, target', 'the request'],
    ['path, folded[], marks[]', 'the path as sent, what servers could make of it, and what makes it ambiguous'],
    [
      'candidates[]',
      '`path`, `action`, `mode` of each route that a server could match, and `how` it was found: `plain`, `prefix`, `in order`',
    ],
    [
      'route',
      'the path of the strictest, whose treatment the request gets; `null` if the gate refuses it on every route',
    ],
    ['outcome', '`verified` (its signature decides), `forwarded`, `reported` (forwarded, and counted) or `refused`'],
    ['status, reason', 'of a refusal, and the reason of a report; else `null`'],
    [
      'rule, header, hint',
      "the gate's rule that refuses it ([logs.md](logs.md#rules)), the header that broke it, and what to do, or what is wrong with the signature's form; else `null`",
    ],
    ['methods, secrets, maxBody', 'what the route allows, of a route that verifies: `null` is any live secret'],
  ],
} as const;

export const run = command(definition, async (given, io) => {
  const [method, target] = given.positionals;
  if (method === undefined || target === undefined) throw usageError('METHOD and TARGET are both required');
  if (!/^[A-Z-]+$/.test(method)) {
    throw usageError(`${JSON.stringify(method)} is not a method: methods are upper case, such as GET or POST`);
  }
  const headers = (given.values.header ?? []).flatMap(readHeader);
  const names = headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  const host = names.includes('host') ? [] : ['Host', 'example.test'];
  const signature = names.some(looksLikeSignature) ? [] : SIGNED;
  const request = { method, target: Buffer.from(target, 'utf8').toString('latin1'), version: '1.1' };
  const head = new Head(request, [...host, ...signature, ...headers]);
  const { config } = await loadConfig({ file: given.values.config ?? null, env: io.env });
  const at = Date.now();
  const policy = policyOf(config);
  const admission = withFormHint(admit(arrivalOf(head, policy, at)), head);
  const examination = policy.routes.examine(pathOf(head.target), at);
  if (given.values.json) io.stdout(`${JSON.stringify({ method, target, ...asData(admission, examination) })}\n`);
  else io.stdout(`${[`${method} ${target}`, '', ...explain(admission, examination, io)].join('\n')}\n`);
  return 0;
});

/** Name and value, as two items of a head's flat list. The message must not repeat the text: it may be a signature. */
function readHeader(text: string): readonly string[] {
  const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw usageError("--header needs the form 'NAME: VALUE'");
  return [name, Buffer.from(value, 'utf8').toString('latin1')];
}

/** A signature of the right form, for a request that was given none: the verdict itself needs a body. */
const SIGNED = [SIGNATURE_HEADER, `${SIGNATURE_PREFIX}${'A'.repeat(43)}=`];

/** A policy in which every secret that the configuration names is live: none is read. */
function policyOf(config: Config): Policy {
  const named = config.routes.flatMap(({ secrets }) => secrets ?? []);
  const sources = config.secrets.map((source) => (source.kind === 'directory' ? source.directory : source.id));
  const key = createSecretKey(randomBytes(32));
  const bounds = { notBefore: null, notAfter: null };
  return policyWith(
    config,
    [...new Set([...named, ...sources])].map((id) => ({ id, key, ...bounds })),
  );
}

/** With the problem of a signature that has not the form of one, as the log has it. */
function withFormHint(admission: Admission, head: Head): Admission {
  if (admission.kind === 'forward' || admission.kind === 'read') return admission;
  const reason = admission.kind === 'refuse' ? admission.reason : admission.permit.reason;
  return { ...admission, hint: admission.hint ?? createDiagnosis().form(head, reason) };
}

const OUTCOMES = { refuse: 'refused', report: 'reported', forward: 'forwarded', read: 'verified' } as const;

function asData(admission: Admission, { target, candidates, treatment }: Examination) {
  const refused = admission.kind === 'refuse' ? admission : null;
  const reported = admission.kind === 'report' ? admission.permit.reason : null;
  const { methods, secrets, maxBody, action } = treatment;
  return {
    path: target.path,
    folded: foldedPaths(target),
    marks: target.marks,
    candidates: candidates.map(({ route: { path, action, mode }, how }) => ({ path, action, mode, how })),
    route: isEarly(admission) ? null : treatment.path,
    outcome: OUTCOMES[admission.kind],
    status: refused === null ? null : REASONS[refused.reason].status,
    reason: refused?.reason ?? reported,
    rule: refused?.rule ?? null,
    header: refused?.header ?? null,
    hint: 'hint' in admission ? admission.hint : null,
    ...{ methods, secrets, maxBody: action === 'verify' ? maxBody : null },
  };
}

function foldedPaths({ folded }: Examination['target']): readonly string[] {
  return [...new Set([folded, ...folded.lenient].map(({ text }) => `/${text.join('/')}`))];
}

/** True for a rule that needs no route: it stands before all readings. */
function isEarly(admission: Admission): boolean {
  return admission.kind === 'refuse' && admission.rule !== null && Object.hasOwn(GATE, admission.rule);
}

function explain(admission: Admission, examination: Examination, { paint }: Io): readonly string[] {
  const lines = described(admission, examination.treatment).map((line) => {
    return line.startsWith('=>') ? paint(admission.kind === 'refuse' ? 'red' : 'green', line) : line;
  });
  return isEarly(admission) ? lines : [...readings(examination), '', ...lines];
}

function readings({ target, candidates, treatment }: Examination): string[] {
  const { marks } = target;
  const lines = [
    `Path             ${target.path}`,
    ...foldedPaths(target).map((path) => `Folds to         ${path}`),
    `Marks            ${marks.length === 0 ? 'none: it has only one reading' : `${marks.join(', ')}: servers may read it differently`}`,
    'Routes that a server could match:',
  ];
  for (const { route, how } of candidates) {
    const why = {
      plain: route.path === UNMATCHED ? 'no route matches the path as sent' : 'matches the path as sent',
      prefix: 'matches the start of the folded path',
      'in order': 'because of its marks, a server could find this path in it',
    }[how];
    const does = route.action === 'verify' ? `verify, ${route.mode}` : route.action;
    lines.push(`  ${route.path.padEnd(20)} ${does.padEnd(16)} ${why}`);
  }
  if (candidates.length > 1) lines.push(`The strictest wins: ${treatment.path}`);
  return lines;
}

function described(admission: Admission, route: Route): readonly string[] {
  switch (admission.kind) {
    case 'refuse':
      return refusal(admission, route);
    case 'report': {
      const { reason } = admission.permit;
      const end = `=> forwarded, reported as ${reason}${reason === 'method_not_allowed' ? allowed(route) : ''}`;
      return [...whyLines(admission), end];
    }
    case 'forward':
      return [`=> forwarded unverified by ${route.path}`];
    case 'read':
      return verification(admission.route);
    default:
      return admission satisfies never;
  }
}

const whyLines = ({ hint }: Pick<Refused, 'hint'>) => (hint === null ? [] : [`  ${hint}`]);

function refusal({ rule, header, hint, reason }: Refused, route: Route): readonly string[] {
  const end = `=> ${REASONS[reason].status} ${reason}${reason === 'method_not_allowed' ? allowed(route) : ''}`;
  const why = whyLines({ hint });
  if (rule === null) return [...why, end];
  const who =
    { 'route-headers': `The gate refuses it for ${route.path}`, query: `${route.path} refuses it` }[String(rule)] ??
    'The gate refuses it on every route';
  const named = header === null ? '' : `, header ${header}`;
  return [`${who}: rule ${rule}${named}`, `  stops ${RULES[rule]}`, ...why, '', end];
}

const allowed = ({ path, methods }: Route) => `: ${path} allows ${methods?.join(', ') || 'no method at all'}`;

function verification(route: Route): readonly string[] {
  const secrets = route.secrets === null ? 'any live secret' : `one of: ${route.secrets.join(', ')}`;
  return [
    `=> verified by ${route.path}: signed with ${secrets}; body up to ${route.maxBody} bytes`,
    reports(route, Date.now())
      ? '   report mode: an invalid request is forwarded too, and counted as reported'
      : '   a valid request is forwarded unchanged, any other gets 401',
    '   (taken as live: every secret that the configuration names)',
  ];
}
