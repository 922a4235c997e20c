// One section for each diagnosis: docs/alerts.md is generated from these texts, from the remedies, and from what follows
// from what. A page of the docs in a text becomes a link there.
import { DIAGNOSES, type Diagnosis } from './diagnoses.ts';

/** The meaning of each diagnosis: when it is given, and where to read on. The remedy is not repeated. */
export const SECTIONS: Readonly<Record<Diagnosis, string>> = {
  draining: 'A drain was asked for: the proxy still serves, and is not ready (admin.md#who-may-use-the-actions).',
  'not-ready': 'GET /readyz is 503, and its causes are named. What still arrives is served.',
  'no-live-secret': 'An enforcing route has no secret that can verify now, on one pod or more: senders get 503.',
  'secrets-outside-dates': "Each secret of a route has ended or not begun, by this machine's clock.",
  'secret-problem': 'A secret is missing, too short or unreadable (troubleshooting.md#it-does-not-start).',
  'secret-value': 'A secret works, but its value is unusual: it is short, or has white space around it.',
  'secret-expired': 'A secret has ended, and verifies nothing any more. Others do.',
  'secret-unproven': 'A reload took a new value, and no delivery has matched it yet (rotation.md).',
  'secret-ends': 'A secret ends soon: what is signed with it gets 401 then (rotation.md).',
  'old-secret-used': 'Senders still sign with a value that was replaced, and that ends soon (rotation.md).',
  'another-secret':
    'Signatures of the right form match no secret here, and no usual mistake explains it. Each may be a lost delivery; on a route that nobody uses it may be a forger (troubleshooting.md#signature_mismatch-without-a-hint).',
  'body-changed': 'The signature fits another form of the body, such as compact JSON (ingress.md#what-changes-a-body).',
  'body-compressed': 'The body was compressed or decompressed after it was signed (ingress.md#what-changes-a-body).',
  'trailing-newline': 'It was signed with the secret and a line break, or without the one that is here.',
  'secret-form': 'The signature was made with another form of the secret, such as decoded from base64 or hex.',
  'other-route-secret': 'The signature was made with a secret that only another route has.',
  'sender-signs': 'The signature was made in another form, such as hex or URL-safe base64.',
  'signature-form': 'A request has the signature header, but not as SHA256:<base64>, or more than once.',
  'no-signature': 'A request to a verified route has no signature. Scanners send such requests to any public port.',
  'signature-dropped': 'Known senders come without the signature header, or with it under another name (ingress.md).',
  'expired-secret':
    'A request was signed with a secret that has ended. Only a holder of that secret can do so. It was refused; its log line names secret and client (rotation.md#after-a-leak).',
  'early-secret': "A request was signed with a secret that begins later, by this machine's clock, and got 401.",
  'gate-rule': 'A request was refused before any route, by the rule that is named. logs.md lists the rules.',
  'large-head': 'The head of a request is larger than limits.maxHeader, and was refused with 431.',
  'other-address': 'A request came to a path or with a method that no route takes, and was refused with 404 or 405.',
  'large-body': 'The body of a request is larger than maxBody, and was refused with 413.',
  'slow-request': 'A head or a body did not come in time, and was refused with 408.',
  'front-leaves': 'The client left before its answer.',
  'signed-unverified': 'On a forward route, or with unmatched: forward, signed requests reached the app unverified.',
  'app-fails':
    'The app answered deliveries with 5xx. To their sender they have failed, though the app may have processed them (troubleshooting.md#the-app-answers-with-an-error).',
  'app-hangs': 'The app did not answer in time (upstream.responseTimeout, idleTimeout): senders got 504.',
  'app-breaks-off': 'The app ended the connection before its answer was whole. It may have processed the delivery.',
  'upstream-loop': 'The upstream is this proxy itself: its requests come back to it, and get 508.',
  'app-not-http': 'The answer of the app is no valid HTTP: senders got 502.',
  'app-busy': 'The app, or something in front of it, asks to come again later: 408, 425 or 429.',
  'slow-app': 'The app takes deliveries, but slowly: senders that give up count them as lost (app.md).',
  'deliveries-lost': 'Deliveries of the last day were not taken, and nothing fails now (#find-an-event-again).',
  'app-redirects': 'Each delivery gets a redirect: it counts as taken, but a sender that follows none reached nothing.',
  'app-refuses':
    'The app answered deliveries with a 4xx of its own. Their signatures were right (troubleshooting.md#the-app-answers-with-an-error).',
  'sender-leaves': 'Senders left before the app had answered, and their requests ended with them.',
  'app-down': 'The app accepts no connection (troubleshooting.md#deliveries-get-502-or-504).',
  'app-certificate-name': 'TLS to the app fails: its certificate is for another name.',
  'app-certificate-dates': "TLS to the app fails: its certificate has ended or not begun, by this machine's clock.",
  'app-certificate-unknown': 'TLS to the app fails: no authority that the proxy knows has signed its certificate.',
  'app-tls': 'TLS to the app fails before any certificate was judged.',
  'proxy-full': 'Deliveries got 503, since the proxy had no room for them.',
  'bodies-full':
    'limits.bufferedBytes were used up: the slowest unfinished body got 503 (security.md#when-it-is-full).',
  'slots-full': 'All upstream.connections were in use for too long: deliveries got 503. Most often the app is slow.',
  'tunnels-full': 'WebSockets hold half of limits.connections, and the next one got 503.',
  stopped: 'A stop cut off deliveries that were under way.',
  'twins-wait': 'Copies of an event under way waited too long for it, and got 503 (once.md#what-happens).',
  'connections-full':
    'A newcomer ends an idle or slow connection, or is turned away (security.md#what-a-client-can-hold).',
  'descriptors-full':
    'Nearly all open files are in use: then connections end unseen (security.md#what-a-client-can-hold).',
  exposed: 'The port of the app answers past the proxy, so that requests reach it unverified (security.md).',
  'once-store': 'Until it works, events may arrive twice, or senders get 503: onStoreFailure (#problems-of-a-store).',
  'store-full': 'What the app does not take now is answered as without redeliver, and may be lost.',
  'store-slow': 'It took more than a second: such a delivery is answered as without redeliver, and may be lost.',
  'store-fails': 'What the app does not take now is answered as without redeliver (#problems-of-a-store).',
  'redis-fails': 'What the app does not take now is answered as without redeliver (#problems-of-a-store).',
  'store-evicts': 'When it is full, the Redis may drop events, and nothing tells (redelivery.md#the-store).',
  'deferred-lost': 'Stored deliveries of the last day ended, and the app has not taken them (#find-an-event-again).',
  'store-damaged': 'The file was set aside, and a new one begun: what is in it is not sent (redelivery.md#the-store).',
  'deferred-ending': 'The time of a stored delivery ends soon, and the app has not taken it (redelivery.md).',
  'deferred-expired': 'Their time is over, and they wait for your decision: sent or dropped (redelivery.md).',
  poison: 'The app takes others, and not this one, at each of several tries (redelivery.md#when-you-are-on-call).',
  'deferred-stopped': 'The app answered 4xx: they are sent only when you ask (redelivery.md#when-you-are-on-call).',
  'deferred-unverified': 'They are not sent. One word says why (redelivery.md#who-can-write-to-the-store).',
  'deferred-unsent': 'Deliveries are stored, and no route has redeliver, so nothing is sent (redelivery.md).',
  'deferred-waits': 'What the app did not take is sent again. Nothing is lost before its time ends (redelivery.md).',
  'certificate-ends':
    'A TLS certificate of the proxy has ended, or ends soon: then clients (listen) or the app (upstream_client) refuse to connect, and no counter shows it. Why did the tool that renews it not do so, or its files not arrive?',
  'certificate-early': "A TLS certificate of the proxy has not begun, by this machine's clock.",
  'reload-failed':
    'Changed files could not be loaded: what was read before stays in use. The log line reload failed has file, line and problem. It is failed where a start would be refused, and a warning where only a secret could not be read: put its file back, or remove its entry.',
  'awaiting-restart': 'Keys that need a restart have changed (configuration.md#changes).',
  'report-mode':
    'A route forwards what it would refuse. Its panel on the dashboard shows whether your senders are among it. Never choose it to silence an alert: it forwards forgeries, too.',
  chosen: 'The configuration chose something that is worth knowing (configuration.md#keys).',
  'log-gaps': 'Standard output did not take log lines (troubleshooting.md#the-log-has-gaps).',
  'all-is-well': 'Deliveries are taken, and nothing is wrong.',
  'nothing-proven': 'Nothing is wrong, and no delivery has come since the start, so nothing is proven yet.',
};

/** The diagnoses from which this one may follow. */
export function causesOf(id: Diagnosis): readonly Diagnosis[] {
  const { follows } = DIAGNOSES[id];
  const all = Object.keys(DIAGNOSES) as readonly Diagnosis[];
  return all.filter((other) => other !== id && [other, DIAGNOSES[other].subject].some((one) => follows.includes(one)));
}
