// A healthy day at four deliveries an hour raises nothing: a rotation in the morning, a rollout at noon, a probe each
// minute, scanners all day, an outage of six minutes whose deliveries were deferred, and one forgery. Whatever alert is
// added must stay silent here.
import { quarters, type RuleCase } from './rule-case.ts';

const HALF_A_DAY = quarters('1'.repeat(47));

/** What any pod shows for its twelve hours. */
const HEALTHY = {
  'requests_total{route="/notify",decision="accepted"}': HALF_A_DAY,
  'requests_total{route="/notify",decision="probe"}': '0+1x719',
  'requests_total{route="unmatched",decision="rejected",reason="method_not_allowed"}': '0+1x719',
  'requests_total{route="unmatched",decision="rejected",reason="missing_signature"}': quarters(
    `${'...1'.repeat(11)}...`,
  ),
  'deliveries_total{route="/notify",fate="taken"}': HALF_A_DAY,
  'upstream_responses_total{route="/notify",code="2xx"}': HALF_A_DAY,
  'secret_matches_total{route="/notify",secret="current"}': HALF_A_DAY,
  'secret_live{secret="current"}': '1x719',
  'last_reload_successful{}': '1x719',
  'build_info{version="1"}': '1x719',
  'tls_certificate_not_after_timestamp_seconds{certificate="listen"}': '7776000x719',
  ...zeroOf('requests_total{route="/notify",decision="rejected",reason="', [
    ...[
      'signature_mismatch',
      'overloaded',
      'expired_secret',
      'body_too_large',
      'no_live_secret',
      'malformed_signature',
    ],
  ]),
  ...zeroOf('deliveries_total{route="/notify",fate="', ['failed', 'abandoned', 'refused', 'duplicate', 'deferred']),
  ...zeroOf('redelivered_total{route="/notify",result="', [
    ...['delivered', 'expired', 'dropped', 'client_error', 'unverified'],
  ]),
  ...zeroOf('deferred_deliveries{state="', ['stopped', 'unverified']),
  'requests_total{route="/notify",decision="deferred"}': '0x719',
  'deferred_oldest_timestamp_seconds{state="waiting"}': '0x719',
  'deferred_store_failures_total{}': '0x719',
  'upstream_failures_total{route="/notify",cause="connect"}': '0x719',
  'upstream_responses_total{route="/notify",code="5xx"}': '0x719',
  'unverified_signatures_total{route="unmatched"}': '0x719',
  'route_report_mode{route="/notify"}': '0x719',
};

/** What the pod of the morning shows instead. */
const MORNING = {
  'requests_total{route="/notify",decision="rejected",reason="signature_mismatch"}': '0x300 1x419',
  'requests_total{route="/notify",decision="deferred"}': '0x500 2x219',
  'deliveries_total{route="/notify",fate="deferred"}': '0x500 2x219',
  'redelivered_total{route="/notify",result="delivered"}': '0x506 2x213',
  'deferred_oldest_timestamp_seconds{state="waiting"}': '0x500 30000x6 0x213',
  'upstream_failures_total{route="/notify",cause="connect"}': '0x500 2x219',
  'secret_matches_total{route="/notify",secret="current"}': quarters('.'.repeat(8) + '1'.repeat(39)),
  'secret_matches_total{route="/notify",secret="current.previous"}': quarters('1'.repeat(8) + '.'.repeat(39)),
  'secret_not_after_timestamp_seconds{secret="current.previous"}': '86400x719',
};

export const HEALTHY_DAY: readonly RuleCase[] = [
  {
    rule: '',
    fires: false,
    name: 'a healthy day is silent',
    series: {
      ...podOf('a', { ...HEALTHY, ...MORNING }, (samples) => `${samples} _x720`),
      ...podOf('b', HEALTHY, (samples) => `_x720 ${samples}`),
    },
    alerts: Object.fromEntries(Array.from({ length: 1440 }, (_, minute) => [`${minute}m`, []])),
  },
];

function zeroOf(series: string, values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(values.map((value) => [`${series}${value}"}`, '0x719']));
}

function podOf(name: string, shown: Readonly<Record<string, string>>, placed: (samples: string) => string) {
  const all = Object.entries(shown).map(([series, samples]) => {
    return [series.replace('{', `{pod="${name}",`), placed(samples)];
  });
  return Object.fromEntries(all);
}
