// `explain METHOD TARGET`: prints what would happen to a request, and why, without sending it.
import { createSecretKey, randomBytes } from 'node:crypto';
import { didYouMean } from '../base/nearest-word.ts';
import { type Paint, printable } from '../base/printable.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { labelled, OF_ROUTE } from '../config/schema-problems.ts';
import { type Admission, admit, type Policy, type Refused } from '../core/admission.ts';
import { PARSER_RULES, RULES } from '../core/gate-rules.ts';
import { REASONS } from '../core/reasons.ts';
import { Head, pathOf } from '../core/request-head.ts';
import { inForce, type RouteTable, UNMATCHED } from '../core/routes.ts';
import { looksLikeSignature, SIGNATURE_HEADER } from '../core/signature.ts';
import { causesOf, DIAGNOSES, type Diagnosis } from '../health/diagnoses.ts';
import { createDiagnosis } from '../hints/refused-signature.ts';
import { buildPolicy } from '../runtime/ruleset.ts';
import { command, table } from './command.ts';
import { ALERTS_PAGE } from './docs-pages.ts';
import { plain } from './help.ts';
import { usageError } from './options.ts';
import { ANY_SIGNATURE } from './sign.ts';
import { readRequest } from './verify.ts';

export const run = command('explain', async ({ values, positionals: [method = '', target] }, io) => {
  const isDiagnosis = target === undefined && /^[a-z]/.test(method);
  if (target === undefined && !isDiagnosis) throw usageError('METHOD and TARGET are both required, or a DIAGNOSIS');
  if (target === undefined) {
    const { remedy, meaning, causes, diagnosis, page } = sectionOf(method);
    const follows =
      causes.length === 0 ? [] : [`It may follow from ${causes.join(', ')}, and is then shown below that.`];
    const text = [io.paint('bold', diagnosis), `Do: ${remedy}`, meaning, ...follows].join('\n\n');
    io.stdout(`${values.json ? JSON.stringify({ diagnosis, remedy, meaning, causes, page }) : text}\n`);
    return 0;
  }
  if (!/^[A-Z-]+$/.test(method)) {
    throw usageError(`${JSON.stringify(method)} is not a method: methods are upper case, such as GET or POST`);
  }
  // `OPTIONS *` and CONNECT have no path, but the gate decides on them.
  if (!target.startsWith('/') && target !== '*' && method !== 'CONNECT') {
    const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*\/?/i, '');
    throw usageError(`give the path: explain ${method} ${printable(`/${path}`)}`);
  }
  const headers = (values.header ?? []).map(readHeader);
  const { config } = await loadConfig({ file: values.config ?? null, env: io.env });
  const at = Date.now();
  const policy = policyOf(config);
  const read = readHead(`${method} ${target}`, headers, config.limits.maxHeader);
  const admission = read instanceof Head ? admit({ head: read, policy, at }) : read;
  const path = pathOf(Buffer.from(target).toString('latin1'));
  const outcome = asData(admission, path, policy.routes, at);
  const form = read instanceof Head && outcome.reason !== null ? createDiagnosis().form(read, outcome.reason) : null;
  const data = { method, target, ...outcome, hint: outcome.hint ?? form?.text ?? null };
  io.stdout(`${values.json ? JSON.stringify(data) : textOf(data, io.paint)}\n`);
  return 0;
});

/** The section of docs/alerts.md. Throws UsageError for a name that is no diagnosis. */
function sectionOf(name: string) {
  const ids = Object.keys(DIAGNOSES) as readonly Diagnosis[];
  const diagnosis = ids.find((id) => id === name);
  if (diagnosis === undefined) {
    const others = didYouMean(name, ids) || `; there are ${ids.join(', ')}`;
    throw usageError(`there is no diagnosis ${JSON.stringify(name)}${others}`);
  }
  const [, section = ''] = ALERTS_PAGE.split(`\n### ${diagnosis}\n\n`);
  const [, meaning = ''] = section.split(/\n\n|\n<!--/); // the remedy comes before it
  return { diagnosis, ...DIAGNOSES[diagnosis], meaning: plain(meaning), causes: causesOf(diagnosis) };
}

/** Splits a header into name and value. The error must not repeat the text, which may be a signature. */
function readHeader(text: string): readonly [name: string, value: string] {
  const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw usageError("--header needs the form 'NAME: VALUE'");
  return [name, value];
}

/** The head as the proxy's own parser reads its bytes, or the parser's refusal. */
function readHead(request: string, headers: ReturnType<typeof readHeader>[], mostHead: number): Head | Refused {
  const names = headers.map(([name]) => name.toLowerCase());
  const host = names.includes('host') ? [] : [['Host', 'example.test']];
  const signature = names.some(looksLikeSignature) ? [] : [[SIGNATURE_HEADER, ANY_SIGNATURE]];
  const lines = [...host, ...signature, ...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  const { head, refusal: reason } = readRequest(Buffer.from(`${request} HTTP/1.1\r\n${lines.join('')}\r\n`), mostHead);
  if (head !== null) return head;
  const rule = PARSER_RULES[reason] ?? null;
  return { kind: 'refuse', routePath: UNMATCHED, reason, rule, header: null, hint: null, allow: null, secret: null };
}

/** The policy of the configuration. No secret is read: each that the configuration names counts as live. */
function policyOf(config: Config): Policy {
  const named = config.routes.flatMap(({ secrets }) => secrets ?? []);
  const sources = config.secrets.map((source) => (source.kind === 'directory' ? source.directory : source.id));
  const live = { key: createSecretKey(randomBytes(32)), notBefore: null, notAfter: null };
  const secrets = [...new Set([...named, ...sources])].map((id) => ({ id, ...live }));
  return buildPolicy(config, secrets);
}

const OUTCOMES = { refuse: 'refused', report: 'reported', permit: 'forwarded', read: 'verified' } as const;

/** Rules that depend on the route. All others hold for every route. */
const OF_A_ROUTE: ReadonlySet<string> = new Set(['query', 'route-headers']);

function asData(admission: Admission, path: string, routes: RouteTable, at: number) {
  const refused = admission.kind === 'refuse' ? admission : null;
  const reported = admission.kind === 'report' ? admission.permit.reason : null;
  const { rule = null, header = null } = refused ?? {};
  const { target = null, candidates = [], treatment = null } = routes.examine(path, at) ?? {};
  const isReported = admission.kind === 'read' && treatment !== null && inForce(treatment, at).mode === 'report';
  const folded = (target?.readings ?? []).map(([text = []]) => `/${text.join('/')}`);
  return {
    path,
    folded: [...new Set(folded)],
    marks: target?.marks ?? [],
    candidates: candidates.map(({ route, how }) => {
      const { path, action, mode } = inForce(route, at);
      return { path, action, mode, how };
    }),
    route: rule === null || OF_A_ROUTE.has(rule) ? (treatment?.path ?? null) : null,
    outcome: isReported ? 'reported' : OUTCOMES[admission.kind],
    status: refused === null ? null : REASONS[refused.reason].status,
    reason: refused?.reason ?? reported,
    rule,
    header,
    hint: 'hint' in admission ? (admission.hint?.text ?? null) : null,
    methods: treatment?.methods ?? null,
    secrets: treatment?.secrets ?? null,
    maxBody: treatment?.action === 'verify' ? treatment.maxBody : null,
  };
}

type Explained = ReturnType<typeof asData> & { readonly method: string; readonly target: string };

/** The findings as text, with the outcome on a line of its own. */
function textOf(
  { method, target, path, folded, marks, candidates, outcome, status, reason, rule, ...data }: Explained,
  paint: Paint,
): string {
  const how = candidates.map(({ path, action, mode, how }) => `${path} (${action}, ${mode}: ${how})`);
  const stops = rule && `${rule}, on ${data.route ?? 'every route'}: it stops ${RULES[rule]}`;
  const rows = labelled({ path, folded, marks, candidates: how, ...data, rule: stops }, OF_ROUTE);
  const end = {
    refused: `${status} ${reason}`,
    reported: `forwarded, reported ${reason ? `as ${reason}` : 'unless a secret of its route signed it'}`,
    forwarded: `forwarded unverified by ${data.route}`,
    verified: `verified by ${data.route}: forwarded unchanged if one of its secrets signed it`,
  }[outcome];
  const colour = outcome === 'refused' ? 'red' : 'green';
  return [`${method} ${target}`, '', ...table(rows), paint(colour, `=> ${end}`)].join('\n');
}
