// The one list of diagnoses, by subject: what to do about each; and the form of a finding, which names one. So does every
// report of a problem: status page, /api/status, `check`, log, the metric `diagnosis` and so the alerts, and docs/alerts.md,
// which is generated. These texts are written nowhere else. A remedy must never weaken verification.

// A remedy is read after its cause is over, too, so it says when something is to be done.
const FIND = ' Then find any that were lost.';
const LOST = ' What got 503 meanwhile may be lost.';
const PORT = ' Is upstream.url the right port, and http:// or https:// right?';
const TRICKLE = ' Do bodies trickle in? Then lower limits.bodyTimeout.';
const YOURS = 'If you know these clients, ';
const NO_RESTART = 'no restart is needed';
const BRING = `If the Redis is away, bring it back; or correct the passwordFile, by the problem that is named; ${NO_RESTART}.`;

/** By subject, each diagnosis with its remedy. */
const REMEDIES = {
  ready: {
    draining: 'Nothing, if it is about to stop. The drain ends after 10 minutes without a SIGTERM.',
    'not-ready': 'Fix the causes: until then load balancers send no requests here.',
  },
  secrets: {
    'no-live-secret': `If none is live now, put a value where the secret is read from; ${NO_RESTART} for a file.${LOST}`,
    'secrets-outside-dates': `Add a successor, or correct the dates of the secrets; or set the clock of this machine, if it is wrong.${LOST}`,
    'secret-problem': `Put the value where the secret is read from, readable for uid 65532; ${NO_RESTART} for a file.`,
    'secret-value': 'Nothing, while deliveries match it. If the value can be guessed, rotate it here and at Entrupy.',
    'secret-expired': 'Remove the secret once its successor verifies.',
    'secret-unproven': 'Is this secret set at Entrupy? Only a delivery proves it. If in doubt, add the former one.',
    'secret-ends': 'Add its successor beside it, and set that at Entrupy; or move notAfter, if the end was a mistake.',
    'old-secret-used': 'Switch them to the new one, or move the end. log.requests: all shows secret and client.',
  },
  signatures: {
    'another-secret':
      'Compare the secret at Entrupy with the one here. If they differ, add Entrupy’s as a second entry of secrets, and keep the other one. If they are equal, something in front may change bodies: entrupy-signature-proxy capture writes the next refused requests to files, and verify --request tells which it is.',
    'body-changed': 'Something in front of the proxy changes bodies: turn that off (ingress.md).',
    'body-compressed': 'Something in front of the proxy compresses or decompresses bodies: turn that off (ingress.md).',
    'trailing-newline': 'Enter the secret without the line break, here and at Entrupy.',
    'secret-form': 'Enter the secret in the same form here and at Entrupy.',
    'other-route-secret': 'Give the route that secret too, or correct the address at Entrupy.',
    'sender-signs': 'Fix how the sender signs: HMAC-SHA256 of the body’s bytes, with the secret’s text as key.',
    'signature-form': `${YOURS}fix how the sender writes the header, or what sits in front of the proxy.`,
    'no-signature': `${YOURS}something in front drops the signature's header. Else ignore them.`,
    'signature-dropped':
      'Let what is in front of the proxy pass Entrupy-Signature under its own name: find what drops or renames headers there (ingress.md).',
    'expired-secret':
      'If you know this client, give it the live secret. If you do not, that secret has leaked: keep it out, and find out how. If the clock is wrong, set it.',
    'early-secret':
      'This proves a candidate on trial: remove its notBefore when it should count (rotation.md). Otherwise correct notBefore, or the clock, if that is wrong.',
  },
  refusals: {
    'gate-rule': `${YOURS}something in front of the proxy changes their requests: the rule and the header say what (ingress.md).`,
    'large-head': `${YOURS}raise limits.maxHeader, or remove lines that something in front adds.`,
    'other-address':
      'Is the address at Entrupy that of your route? explain METHOD TARGET shows which route takes it, and its methods.',
    'large-body': `${YOURS}raise maxBody.`,
    'slow-request': `${YOURS}something in front is slow: raise limits.headersTimeout, limits.bodyTimeout or idleTimeout. Scanners send nothing.`,
    'front-leaves': 'Does something in front give up? Compare its timeouts (ingress.md).',
    'signed-unverified':
      'Compare the path of the route with the address at Entrupy. Until they agree, forged deliveries reach the app there, too.',
  },
  answers: {
    'app-fails': `Look at the log of the app: verification is not the cause.${FIND}`,
    'app-hangs': `Look at the log of the app, and let it answer first and work then.${FIND}`,
    'app-breaks-off': `Did the app crash? Look at its log. Set upstream.keepAlive below its own.${PORT}${FIND}`,
    'upstream-loop': `Write the address of the app in upstream.url: the present one leads back to this proxy.${FIND}`,
    'app-not-http': `curl --http1.1 -v shows the answer.${PORT}${FIND}`,
    'app-busy': `Raise the limit in the app, or in what sits in front of it.${FIND}`,
    'slow-app': 'Let the app answer first and work then. If it says that it is quick, raise upstream.connections.',
  },
  deliveries: {
    'deliveries-lost':
      'Fix the cause, then find the events again. On a route without redeliver, it keeps the next ones.',
    'app-redirects':
      'Set the address at Entrupy, or the path that the app serves, to the one that it redirects to. A slash at the end, or http:// for https://, is the usual cause. A 304 is no redirect: look at the log of the app.',
    'app-refuses':
      'Verification is not the cause. Does the app serve this path, take such bodies, or check something of its own, such as a token? Look at its log.',
    'sender-leaves':
      'Let the app answer first and work then. If they left at once, the proxy or its machine stood still: give it more CPU; or they half-closed, which no sender may before the answer. The app may have processed what it got: check there.',
  },
  upstream: {
    'app-down': `If the app accepts none now, start it, or correct upstream.url, or DNS where its name does not resolve. If it restarts often, a longer upstream.retryConnectFor covers that.${FIND}`,
    'app-certificate-name': 'Set upstream.tls.serverName to a name in it, or correct upstream.url.',
    'app-certificate-dates': "Renew it, and check this machine's clock.",
    'app-certificate-unknown': 'Name its authority’s certificate, or its own if self-signed, in upstream.tls.caFile.',
    'app-tls':
      'Does the app speak TLS on this port? If not, write http:// in upstream.url. It may also ask for a client certificate: upstream.tls.certFile.',
  },
  room: {
    'proxy-full': `Is the app slow, or do bodies trickle in?${FIND}`,
    'bodies-full': `Raise limits.bufferedBytes and the memory.${TRICKLE}`,
    'slots-full': `Is the app slow, or do long responses hold the slots? Look at its log. If not, raise upstream.connections.${FIND}`,
    'tunnels-full': 'Raise limits.connections, or close idle WebSockets.',
    stopped: `Give the proxy more time to stop: raise shutdown.grace.${FIND}`,
    'twins-wait': `Is the app slow? Look at its log.${FIND}`,
    'connections-full': 'Raise limits.connections, or limit connections by address in front of the proxy.',
    'descriptors-full': 'Raise the limit of open files (ulimit -n), or lower limits.connections, upstream.connections.',
  },
  exposed: { exposed: 'Bind the upstream to 127.0.0.1, or close its port with a network policy.' },
  once: { 'once-store': `${BRING} Another once.store needs one.${LOST}` },
  redelivery: {
    'store-full':
      'Get the app to take some, drop some (deferred drop ID), or raise redelivery.maxBytes and restart (the page forgets losses).',
    'store-slow': 'The disk or the Redis is too slow: give it a better one.',
    'store-fails': `Fix the problem that is named: its room, its owner (uid 65532), or another process that uses it; ${NO_RESTART}.`,
    'redis-fails': `${BRING} Another redelivery.store needs one.`,
    'deferred-lost':
      'Find the events again: those that are known are at the end of entrupy-signature-proxy deferred, and in the lines "lost" of the log. Then end the named cause.',
    'store-damaged':
      'Save what is in the file, as redelivery.md says, or find the events again; then move the file away. Look at the disk.',
    'deferred-expired':
      'Correct what kept the app from taking them, then entrupy-signature-proxy deferred deliver. If nobody needs one any more: deferred drop ID; --expired drops all of them.',
    'deferred-ending': 'Make the app take it now, then deferred deliver; or give the route a longer redeliver.',
    poison:
      'Look for it in the log of the app; entrupy-signature-proxy deferred show ID prints it. It is sent again until its time is over. If the app can never take it, you may also drop it.',
    'deferred-stopped': 'Correct the app, then entrupy-signature-proxy deferred deliver, within redelivery.keep.',
    'deferred-unverified':
      'Put back what is named: the secret on its route, the route, the limit or the name. If that is altered, somebody wrote to the store. Or drop them: entrupy-signature-proxy deferred.',
    'store-evicts': 'Set maxmemory-policy noeviction on that server: a full server then refuses, and drops nothing.',
    'deferred-unsent': 'Give a route redeliver, or drop them: entrupy-signature-proxy deferred.',
    'deferred-waits': 'Look at the log of the app. deferred deliver then skips the pause until the next try.',
  },
  certificates: {
    'certificate-ends': `Replace the certificate and its key; ${NO_RESTART}. If the file is new and the date is old, a reload failed.`,
    'handshake-fails': `${YOURS}compare what they trust with the certificate in listen.tls, and their certificates with listen.tls.clientCaFile.`,
    'certificate-early': 'Is the clock of this machine right? If it is, wait, or use another certificate.',
  },
  reload: {
    'reload-failed':
      'Correct it, and the proxy reloads by itself. check-config lists every problem at once. Do not restart before: a start would fail, lack the secret, or use an expired file.',
    'awaiting-restart': 'Restart the proxy.',
  },
  'report-mode': {
    'report-mode': 'Set mode: enforce once no request of yours is reported any more. reportUntil guarantees an end.',
  },
  configuration: { chosen: 'Nothing, if you meant it; check-config names the place.' },
  log: {
    'log-gaps': 'Make room where the log goes, or restart its reader. Metrics and status page count every request.',
  },
  all: {
    'all-is-well': 'Nothing to do.',
    'nothing-proven':
      'To try it: entrupy-signature-proxy probe PATH. Through the front (--url) it proves DNS, certificate and load balancer, too.',
  },
} as const;

type KeysOf<T> = T extends T ? keyof T : never;
export type Subject = keyof typeof REMEDIES;
export type Diagnosis = KeysOf<(typeof REMEDIES)[Subject]>;

const ofSubject = (subject: Subject) => Object.keys(REMEDIES[subject]) as readonly Diagnosis[];
/** Causes that mean the app does not take deliveries. */
const APP: readonly Diagnosis[] = [...ofSubject('answers'), ...ofSubject('upstream'), 'slots-full'];
/** What holds places and bodies for long. */
const SLOW: readonly Diagnosis[] = ['app-hangs', 'slow-app'];

const FOLLOWS: Readonly<Partial<Record<Diagnosis, readonly Diagnosis[]>>> = {
  'not-ready': ['no-live-secret', 'secrets-outside-dates', ...ofSubject('upstream')],
  'no-live-secret': ['secrets-outside-dates', 'secret-problem'],
  'another-secret': ['secret-problem'],
  'reload-failed': ['secret-problem'],
  'handshake-fails': ['certificate-ends', 'certificate-early'],
  'slow-app': ['app-hangs', 'upstream-loop', 'app-down'],
  'sender-leaves': ['slow-app'],
  'slots-full': SLOW,
  'bodies-full': SLOW,
  'proxy-full': SLOW,
  'twins-wait': SLOW,
  'store-full': APP,
  'deferred-waits': APP,
  'deferred-stopped': ['app-refuses'],
  poison: APP,
};

/** Diagnoses that can cause this one. If any is found too, this one is shown as its consequence. */
export const causesOf = (id: Diagnosis): readonly Diagnosis[] => FOLLOWS[id] ?? [];

/** `page`: its section of the docs. */
export const DIAGNOSES = Object.fromEntries(
  Object.entries(REMEDIES).flatMap(([subject, remedies]) =>
    (Object.entries(remedies) as [Diagnosis, string][]).map(([id, remedy]) => {
      return [id, { subject, remedy, page: `alerts.md#${id}` }];
    }),
  ),
) as Readonly<Record<Diagnosis, { subject: Subject; remedy: string; page: string }>>;

/**
 * `failed`: deliveries are not taken, refused or turned away now, or will be lost soon. `warning`: look at it. `ok`:
 * nothing to do. `note`: a deliberate choice, or strangers; never the headline.
 */
export type State = 'failed' | 'warning' | 'ok' | 'note';

export interface Finding {
  readonly id: Diagnosis;
  readonly state: State;
  /** The facts, in one or two sentences. */
  readonly message: string;
  /** The route's path; null for a finding on no route of its own. */
  readonly route: string | null;
  /** Replaces the remedy of its diagnosis. */
  readonly remedy?: string;
  /** The diagnoses from which it follows, in place of those of its own diagnosis. */
  readonly causes?: readonly Diagnosis[];
  /** When it began, if known, in epoch milliseconds: nothing earlier follows from it. */
  readonly began?: number;
  /** The routes that it concerns, if it has none of its own: nothing on another one follows from it. */
  readonly routes?: readonly string[];
}

/** The findings of one file. A null among them means nothing to report. */
export type Findings = Iterable<Finding | null>;

export function finding(state: State, id: Diagnosis, message: string, route: string | null = null): Finding {
  return { id, state, message, route };
}
