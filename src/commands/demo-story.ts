// The demo's story: deliveries as Entrupy, and others, would send them, and what must become of each.
import { createSecretKey, randomBytes } from 'node:crypto';
import { SIGNATURE_PREFIX, signBody } from '../core/signature.ts';

/** Secrets made up for one run; the config names them, this environment holds them. */
export interface DemoSecrets {
  readonly current: string;
  readonly previous: string;
  readonly retired: string;
}

export function makeSecrets(): DemoSecrets {
  const make = () => randomBytes(24).toString('base64url');
  return { current: make(), previous: make(), retired: make() };
}

export function signature(secret: string, body: string): string {
  return SIGNATURE_PREFIX + signBody(createSecretKey(Buffer.from(secret, 'utf8')), Buffer.from(body, 'utf8'));
}

/** An authentication as Entrupy's v1 API shows it (https://developer.entrupy.com/docs/api/). */
export const DELIVERY =
  '{"item":{"entrupy_id":"1SALEFYH","properties":{"brand":{"id":"louis_vuitton"}},"status":{"result":{"final":true,"id":"authentic"}}}}';

export function demoConfig(upstreamPort: number): string {
  return `listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
upstream: { url: "http://127.0.0.1:${upstreamPort}" }
secrets:
  - { id: current, env: DEMO_CURRENT }
  - { id: previous, env: DEMO_PREVIOUS }      # both are live: that is a rotation
  - { id: retired, env: DEMO_RETIRED, notAfter: 2020-01-01T00:00:00Z }
routes:
  - { path: /notify }
  - { path: /trial, mode: report, reportUntil: 2099-01-01T00:00:00Z }
  - { path: /healthz, action: forward }
shutdown: { delay: 0s, grace: 5s }
`;
}

export interface Step {
  readonly title: string;
  readonly why: string;
  readonly path: string;
  readonly body: string;
  /** The signature header's value; null sends none. */
  readonly signature: string | null;
  readonly expect: {
    readonly status: number;
    /** Whether the upstream gets it. */
    readonly arrives: boolean;
    /** The series of entrupy_proxy_requests_total that goes up by one. */
    readonly decision: string;
    readonly reason: string;
  };
}

const UNTOUCHED = { status: 200, arrives: true, decision: 'accepted', reason: 'none' } as const;
const refused = (reason: string) => ({ status: 401, arrives: false, decision: 'rejected', reason }) as const;

export function story(secrets: DemoSecrets): readonly Step[] {
  const valid = signature(secrets.current, DELIVERY);
  const base = { path: '/notify', body: DELIVERY, signature: valid };
  return [
    {
      ...base,
      title: 'A valid delivery',
      why: 'signed with the secret `current`: it goes through, byte for byte',
      expect: UNTOUCHED,
    },
    {
      ...base,
      title: 'A tampered delivery',
      why: 'the signature is right for another body: `authentic` became `counterfeit`',
      body: DELIVERY.replace('authentic', 'counterfeit'),
      expect: refused('signature_mismatch'),
    },
    {
      ...base,
      title: 'A missing signature',
      why: 'anybody can POST to a public URL',
      signature: null,
      expect: refused('missing_signature'),
    },
    {
      ...base,
      title: 'A malformed signature',
      why: 'hex where base64 belongs: the most common mistake of home-made signers',
      signature: `SHA256:${Buffer.from(valid.slice(SIGNATURE_PREFIX.length), 'base64').toString('hex')}`,
      expect: refused('malformed_signature'),
    },
    {
      ...base,
      title: 'An expired secret',
      why: 'signed with `retired`, whose notAfter is past: refused, but told apart from a forgery',
      signature: signature(secrets.retired, DELIVERY),
      expect: refused('expired_secret'),
    },
    {
      ...base,
      title: 'A rotated secret',
      why: 'signed with `previous`, which is live beside `current`: nothing is lost while senders change over',
      signature: signature(secrets.previous, DELIVERY),
      expect: UNTOUCHED,
    },
    {
      ...base,
      title: 'A report-only route',
      why: '/trial only reports: what would have been refused is forwarded, and counted',
      path: '/trial',
      signature: null,
      expect: { status: 200, arrives: true, decision: 'reported', reason: 'missing_signature' },
    },
  ];
}
