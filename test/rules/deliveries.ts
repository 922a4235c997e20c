// Alerts about what the app and the stores do with verified deliveries.
import { fires, type RuleCase, silent } from './rule-case.ts';

const ONCE_FAILS =
  'Until it is back, events can be delivered twice, or with onStoreFailure refuse senders get 503. ' +
  'The status page says what is wrong with it.';

export const DELIVERIES: readonly RuleCase[] = [
  fires('UpstreamFailing', 'on one route, with the causes in its text, and blames nobody else', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+10x30',
      'requests_total{route="unmatched",decision="forwarded"}': '0+1000x30',
      'upstream_failures_total{route="/notify",cause="connect"}': '0x5 0+6x25',
      'upstream_failures_total{route="/notify",cause="timeout"}': '0x30',
      'upstream_failures_total{route="unmatched",cause="connect"}': '0x30',
      'upstream_responses_total{route="/notify",code="5xx"}': '0+2x30',
      'upstream_responses_total{route="unmatched",code="5xx"}': '0x30',
    },
    alerts: { '25m': ['UpstreamFailing{route="/notify",severity="critical"}'] },
    summary: 'The upstream fails 80% of the requests on /notify of shop hooks.',
    description:
      'Verification is not the cause. In an hour: connect (114), answers with 5xx (50), see the log of the app.',
  }),
  silent('UpstreamFailing', 'for a few failures, for a small share, and without traffic', {
    series: {
      'requests_total{job="few",route="/notify",decision="accepted"}': '0 1 2 3 3x20',
      'upstream_failures_total{job="few",route="/notify",cause="reset"}': '0 1 2 2 2x20',
      'upstream_responses_total{job="few",route="/notify",code="5xx"}': '0x23',
      'requests_total{job="busy",route="/notify",decision="accepted"}': '0+1000x23',
      'upstream_failures_total{job="busy",route="/notify",cause="reset"}': '0+20x23',
      'upstream_responses_total{job="busy",route="/notify",code="5xx"}': '0+20x23',
      'requests_total{job="idle",route="/notify",decision="accepted"}': '0x23',
      'upstream_failures_total{job="idle",route="/notify",cause="reset"}': '0x23',
      'upstream_responses_total{job="idle",route="/notify",code="5xx"}': '0x23',
    },
    alerts: { '6m': [], '20m': [] },
  }),
  fires(
    'DeliveryFailed',
    'as a warning at the first that failed, and is over an hour later; forward routes have no fate',
    {
      series: {
        'deliveries_total{route="/notify",fate="taken"}': '0+10x120',
        'deliveries_total{route="/notify",fate="failed"}': '0x10 1x110',
        'upstream_failures_total{route="/assets/*",cause="connect"}': '0+1x120',
      },
      alerts: { '9m': [], '30m': ['DeliveryFailed{route="/notify",severity="warning"}'], '75m': [] },
    },
  ),
  fires(
    'DeliveryDeferred',
    'after a quarter of an hour, as critical where the app took nothing for an hour, and ends when it is taken',
    {
      series: {
        'deferred_oldest_timestamp_seconds{state="waiting"}': '0x10 600x80 0x30',
        'redelivered_total{route="/notify",result="delivered"}': '0x90 1x30',
        'deliveries_total{route="/notify",fate="taken"}': '5x120',
      },
      alerts: {
        '24m': [],
        '30m': ['DeliveryDeferred{severity="warning",state="waiting"}'],
        '80m': [
          'DeliveryDeferred{severity="critical",state="waiting"}',
          'DeliveryDeferred{severity="warning",state="waiting"}',
        ],
        '92m': [],
      },
    },
  ),
  fires(
    'DeliveryDeferred',
    'and pages nobody for one event that the app never takes beside others, what it refused, and what nothing verifies',
    {
      series: {
        'deferred_oldest_timestamp_seconds{state="waiting"}': '0x10 600x110',
        'redelivered_total{route="/notify",result="delivered"}': '0x120',
        'deliveries_total{route="/notify",fate="taken"}': '0+1x120',
        'deferred_deliveries{state="stopped"}': '0x10 2x110',
        'deferred_deliveries{state="unverified"}': '0x10 1x110',
        'deferred_deliveries{state="waiting"}': '0x10 1x110',
      },
      alerts: {
        '100m': [
          'DeliveryDeferred{severity="warning",state="stopped"}',
          'DeliveryDeferred{severity="warning",state="unverified"}',
          'DeliveryDeferred{severity="warning",state="waiting"}',
        ],
      },
    },
  ),
  silent('DeliveryDeferred', 'while a few minutes pass, where nothing waits, and for what was dropped or delivered', {
    series: {
      'deferred_oldest_timestamp_seconds{state="waiting"}': '0x10 600x10 0x100',
      'redelivered_total{route="/notify",result="delivered"}': '0x20 3x100',
      'redelivered_total{route="/notify",result="dropped"}': '0x20 2x100',
      'deferred_deliveries{state="stopped"}': '0x120',
      'deferred_deliveries{state="unverified"}': '0x120',
      'deferred_deliveries{state="waiting"}': '0x10 3x10 0x100',
    },
    alerts: { '19m': [], '60m': [] },
  }),
  fires('StoreFailing', 'at the first failure of the store of redelivery, and ends half an hour later', {
    series: { deferred_store_failures_total: '0x10 1x60' },
    alerts: { '9m': [], '20m': ['StoreFailing{severity="warning",store="redelivery"}'], '45m': [] },
  }),
  fires(
    'DeliveryFailed',
    'for one that could not be stored beside others that were, and for a deferred one that expired',
    {
      series: {
        'deliveries_total{route="/notify",fate="deferred"}': '0x10 20x110',
        'deliveries_total{route="/notify",fate="failed"}': '0x30 1x90',
        'redelivered_total{route="/notify",result="expired"}': '0x120',
        'deliveries_total{route="/late",fate="deferred"}': '0x10 3x110',
        'deliveries_total{route="/late",fate="failed"}': '0x120',
        'redelivered_total{route="/late",result="expired"}': '0x30 1x90',
      },
      alerts: {
        '29m': [],
        '40m': ['/late', '/notify'].map((route) => `DeliveryFailed{route="${route}",severity="warning"}`),
      },
    },
  ),
  silent(
    'DeliveryFailed',
    'while what the app did not take is deferred, when it is delivered later, and when it is dropped or refused',
    {
      series: {
        'deliveries_total{route="/notify",fate="deferred"}': '0x70 33+33x29 990x80',
        'deliveries_total{route="/notify",fate="failed"}': '70x180',
        'deliveries_total{route="/notify",fate="taken"}': '0+1x180',
        'redelivered_total{route="/notify",result="delivered"}': '0x100 990x80',
        'redelivered_total{route="/notify",result="expired"}': '0x180',
        'redelivered_total{route="/notify",result="dropped"}': '0x100 1x80',
        'redelivered_total{route="/notify",result="client_error"}': '0x100 1x80',
      },
      alerts: { '72m': [], '99m': [], '120m': [], '155m': [] },
    },
  ),
  fires('UpstreamFailing', 'while the app takes nothing, although all of it is deferred', {
    series: {
      'requests_total{route="/notify",decision="deferred"}': '0+5x30',
      'upstream_failures_total{route="/notify",cause="connect"}': '0+5x30',
      'upstream_responses_total{route="/notify",code="5xx"}': '0x30',
    },
    alerts: { '25m': ['UpstreamFailing{route="/notify",severity="critical"}'] },
  }),
  fires('StoreFailing', 'when the store is away, and ends half an hour after it is back', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+10x60',
      'requests_total{route="/notify",decision="duplicate"}': '0x60',
      'requests_total{route="/other",decision="accepted"}': '0+10000x60',
      once_store_failures_total: '0x5 20+20x14 300x40',
    },
    alerts: { '5m': [], '20m': ['StoreFailing{severity="warning",store="once"}'], '52m': [] },
    summary: 'The store of once failed shop hooks 300 times in half an hour.',
    description: ONCE_FAILS,
  }),
  fires('StoreFailing', 'where nothing is delivered without the store, and without a namespace', {
    series: {
      'requests_total{namespace="",pod="",route="/notify",decision="accepted"}': '0x30',
      'requests_total{namespace="",pod="",route="/notify",decision="duplicate"}': '0x30',
      'requests_total{namespace="",pod="",route="/notify",decision="rejected",reason="overloaded"}': '0+1x30',
      'once_store_failures_total{namespace="",pod=""}': '0+1x30',
    },
    alerts: {
      '20m': [
        'Overloaded{severity="critical",namespace=""}',
        'RejectionRatioHigh{severity="warning",namespace=""}',
        'StoreFailing{severity="warning",store="once",namespace=""}',
      ],
    },
    summary: 'The store of once failed  hooks 20 times in half an hour.',
    description: ONCE_FAILS,
  }),
  silent('StoreFailing', 'for a failover of seconds, for a handful, and where no route has once', {
    series: {
      'requests_total{job="failover",route="/notify",decision="accepted"}': '0+600x60',
      'requests_total{job="failover",route="/notify",decision="duplicate"}': '0+60x60',
      'once_store_failures_total{job="failover"}': '0x20 100x40',
      'requests_total{job="few",route="/notify",decision="accepted"}': '0x10 1x20 2x30',
      'requests_total{job="few",route="/notify",decision="duplicate"}': '0x60',
      'once_store_failures_total{job="few"}': '0x10 2x50',
      'requests_total{job="none",route="/notify",decision="accepted"}': '0+10x60',
    },
    alerts: { '25m': [], '45m': [] },
  }),
];
