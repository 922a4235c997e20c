// Every alert whose rate matters, at the four deliveries an hour that a shop gets.
import { fires, quarters, type RuleCase, silent } from './rule-case.ts';

const ACCEPTED = 'requests_total{route="/notify",decision="accepted"}';
const WRONG = 'requests_total{route="/notify",decision="rejected",reason="signature_mismatch"}';
const OVERLOADED = 'requests_total{route="/notify",decision="rejected",reason="overloaded"}';

export const FOUR_AN_HOUR: readonly RuleCase[] = [
  fires('EverythingRejected', 'at four an hour, an hour after the secret was changed at Entrupy alone', {
    series: {
      [ACCEPTED]: quarters('11111111............'),
      [WRONG]: quarters('........111111111111'),
    },
    alerts: {
      '150m': [],
      '190m': ['EverythingRejected{route="/notify",severity="critical"}', 'RejectionRatioHigh{severity="warning"}'],
    },
  }),
  silent('EverythingRejected', 'at four an hour for two forgeries beside deliveries, and for two in a quiet hour', {
    series: {
      [ACCEPTED]: quarters('11111111111111111111'),
      [WRONG]: quarters('........11..........'),
      'requests_total{route="/quiet",decision="accepted"}': quarters('....................'),
      'requests_total{route="/quiet",decision="rejected",reason="signature_mismatch"}':
        quarters('........11..........'),
    },
    alerts: { '155m': ['RejectionRatioHigh{severity="warning"}'], '200m': [] },
  }),
  fires('RejectionRatioHigh', 'at four an hour where every second signature is wrong', {
    series: {
      [ACCEPTED]: quarters('.1.1.1.1.1.1.1.1.1.1'),
      [WRONG]: quarters('1.1.1.1.1.1.1.1.1.1.'),
      'requests_total{route="unmatched",decision="rejected",reason="method_not_allowed"}':
        quarters('99999999999999999999'),
    },
    alerts: { '240m': ['RejectionRatioHigh{severity="warning"}'] },
  }),
  silent('RejectionRatioHigh', 'at four an hour for three forgeries in three hours, and for scanners', {
    series: {
      [ACCEPTED]: quarters('11111111111111111111'),
      [WRONG]: quarters('....111.............'),
      'requests_total{route="unmatched",decision="rejected",reason="missing_signature"}':
        quarters('22222222222222222222'),
    },
    alerts: { '120m': [], '200m': [] },
  }),
  fires('UpstreamFailing', 'at four an hour where the app answers 500 to each, and where it is down', {
    series: {
      [ACCEPTED]: quarters('11111111111111111111'),
      'upstream_responses_total{route="/notify",code="5xx"}': quarters('........111111111111'),
      'upstream_failures_total{route="/notify",cause="connect"}': '0x310',
      'requests_total{route="/down",decision="accepted"}': quarters('11111111111111111111'),
      'upstream_responses_total{route="/down",code="5xx"}': '0x310',
      'upstream_failures_total{route="/down",cause="connect"}': quarters('........111111111111'),
    },
    alerts: {
      '150m': [],
      '190m': ['/down', '/notify'].map((route) => `UpstreamFailing{route="${route}",severity="critical"}`),
    },
  }),
  silent('UpstreamFailing', 'at four an hour for one failure in four', {
    series: {
      [ACCEPTED]: quarters('11111111111111111111'),
      'upstream_responses_total{route="/notify",code="5xx"}': quarters('...1...1...1...1...1'),
      'upstream_failures_total{route="/notify",cause="connect"}': '0x310',
    },
    alerts: {
      '190m': [],
      '250m': [],
    },
  }),
  fires('Overloaded', 'at four an hour where the proxy has room for none, whatever scanners do', {
    series: {
      [ACCEPTED]: quarters('11111111............'),
      [OVERLOADED]: quarters('........111111111111'),
      'requests_total{route="unmatched",decision="rejected",reason="missing_signature"}': '0+4x314',
      'requests_total{route="unmatched",decision="rejected",reason="bad_request"}': '0+4x314',
    },
    alerts: {
      '150m': ['RejectionRatioHigh{severity="warning"}'],
      '190m': ['Overloaded{severity="critical"}', 'RejectionRatioHigh{severity="warning"}'],
    },
  }),
  silent('Overloaded', 'at four an hour for one in four', {
    series: {
      [ACCEPTED]: quarters('11111111111111111111'),
      [OVERLOADED]: quarters('...1...1...1...1...1'),
    },
    alerts: { '190m': [], '250m': [] },
  }),
  fires('StoreFailing', 'at four an hour where the store refuses each', {
    series: {
      [ACCEPTED]: quarters('11111111............'),
      'requests_total{route="/notify",decision="duplicate"}': '0x310',
      [OVERLOADED]: quarters('........111111111111'),
      once_store_failures_total: quarters('........111111111111'),
    },
    alerts: {
      '130m': [],
      '200m': ['Overloaded{severity="critical"}', 'StoreFailing{severity="warning",store="once"}'],
    },
  }),
  fires('ExpiredSecretUsed', 'at four an hour, and for as long as it lasts', {
    series: {
      'requests_total{route="/notify",decision="rejected",reason="expired_secret"}': quarters('11111111111111111111'),
    },
    alerts: {
      '60m': [
        'EverythingRejected{route="/notify",severity="critical"}',
        'ExpiredSecretUsed{route="/notify",severity="warning"}',
      ],
      '200m': [
        'EverythingRejected{route="/notify",severity="critical"}',
        'ExpiredSecretUsed{route="/notify",severity="warning"}',
      ],
    },
  }),
  fires('SecretExpiresSoon', 'at four an hour', {
    series: {
      'secret_not_after_timestamp_seconds{secret="old"}': '18000x310',
      'secret_matches_total{route="/notify",secret="old"}': quarters('11111111111111111111'),
    },
    alerts: { '100m': ['SecretExpiresSoon{secret="old",severity="warning"}'] },
  }),
  fires('DeliveryFailed', 'at four an hour at the first that failed, and at the first that its sender abandoned', {
    series: {
      'deliveries_total{route="/notify",fate="taken"}': quarters('11111111'),
      'deliveries_total{route="/notify",fate="failed"}': quarters('...1....'),
      'deliveries_total{route="/notify",fate="abandoned"}': quarters('........'),
      'deliveries_total{route="/other",fate="taken"}': quarters('11111111'),
      'deliveries_total{route="/other",fate="failed"}': quarters('........'),
      'deliveries_total{route="/other",fate="abandoned"}': quarters('...1....'),
    },
    alerts: {
      '55m': [],
      '70m': [
        'DeliveryFailed{route="/notify",severity="warning"}',
        'DeliveryFailed{route="/other",severity="warning"}',
      ],
    },
  }),
  fires(
    'DeliveryFailed',
    'at four an hour as critical where the app answers 4xx to each, or takes none for another reason',
    {
      series: {
        'deliveries_total{route="/notify",fate="taken"}': quarters('11.........'),
        'deliveries_total{route="/notify",fate="refused"}': quarters('..111111111'),
        'deliveries_total{route="/notify",fate="failed"}': quarters('...........'),
        'deliveries_total{route="/notify",fate="abandoned"}': quarters('...........'),
      },
      alerts: { '70m': [], '140m': ['DeliveryFailed{route="/notify",severity="critical"}'] },
    },
  ),
  silent(
    'DeliveryFailed',
    'at four an hour where the app takes every second one, for two refused alone, and where all wait to be sent again',
    {
      series: {
        'deliveries_total{route="/notify",fate="taken"}': quarters('1.1.1.1.1.1'),
        'deliveries_total{route="/notify",fate="refused"}': quarters('.1.1.1.1.1.'),
        'deliveries_total{route="/notify",fate="failed"}': quarters('...........'),
        'deliveries_total{route="/two",fate="taken"}': quarters('...........'),
        'deliveries_total{route="/two",fate="refused"}': quarters('...11......'),
        'deliveries_total{route="/two",fate="failed"}': quarters('...........'),
        'deliveries_total{route="/kept",fate="taken"}': quarters('...........'),
        'deliveries_total{route="/kept",fate="failed"}': quarters('...........'),
        'deliveries_total{route="/kept",fate="deferred"}': quarters('11111111111'),
      },
      alerts: { '100m': [], '170m': [] },
    },
  ),
  fires('SignedUnverified', 'at four an hour where the route has another path than the one at Entrupy', {
    series: {
      'unverified_signatures_total{route="unmatched"}': quarters('11111111'),
      'deliveries_total{route="/webhoks",fate="taken"}': quarters('........'),
    },
    alerts: { '40m': [], '100m': ['SignedUnverified{severity="warning"}'] },
  }),
  silent('SignedUnverified', 'for a stranger beside deliveries, for two alone, and on a forward route that is named', {
    series: {
      'unverified_signatures_total{route="unmatched"}': quarters('99999999'),
      'deliveries_total{route="/notify",fate="taken"}': quarters('11111111'),
      'unverified_signatures_total{job="two",route="unmatched"}': quarters('.11.....'),
      'unverified_signatures_total{job="named",route="/assets/*"}': quarters('99999999'),
    },
    alerts: { '100m': [] },
  }),
];
