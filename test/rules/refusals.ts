// Alerts about refusals, live secrets and reloads.
import { fires, type RuleCase, silent } from './rule-case.ts';

const OTHERS = ['attacked', 'deferred', 'noise', 'once'].map(
  (job) => `RejectionRatioHigh{job="${job}",severity="warning"}`,
);

/** Of a Prometheus that knows no pods. */
const BARE = 'job="docker",namespace="",pod="",route="unmatched"';

export const REFUSALS: readonly RuleCase[] = [
  fires('RejectionRatioHigh', 'with the top reasons in its text, on an attack that some deliveries outlive', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+60x30',
      'requests_total{route="/notify",decision="rejected",reason="signature_mismatch"}': '0x5 0+30x25',
      'requests_total{route="unmatched",decision="rejected",reason="missing_signature"}': '0x5 0+10x25',
    },
    alerts: { '25m': ['RejectionRatioHigh{severity="warning"}'] },
    summary: '40% of the requests to shop hooks are refused.',
    description:
      'Most often: signature_mismatch on /notify (570 in 3 hours), missing_signature on unmatched (190 in 3 hours), ' +
      'see the status page: it says what each means.',
  }),
  fires('RejectionRatioHigh', 'for fifty pods as for one, once, and without namespace and pod', {
    series: {
      [`requests_total{${BARE},instance="a:9464",decision="accepted"}`]: '0+1x30',
      [`requests_total{${BARE},instance="a:9464",decision="rejected",reason="multiple_signatures"}`]: '0+1x30',
      [`requests_total{${BARE},instance="b:9464",decision="rejected",reason="multiple_signatures"}`]: '0+1x30',
    },
    alerts: { '25m': ['RejectionRatioHigh{job="docker",severity="warning",namespace=""}'] },
  }),
  silent('RejectionRatioHigh', 'below its share, below its floor, and for what any public port gets', {
    series: {
      'requests_total{job="busy",route="/notify",decision="accepted"}': '0+100x30',
      'requests_total{job="busy",route="/notify",decision="rejected",reason="signature_mismatch"}': '0+4x30',
      'requests_total{job="quiet",route="/notify",decision="accepted"}': '0x30',
      'requests_total{job="quiet",route="/notify",decision="rejected",reason="missing_signature"}': '0x10 1 2 3 3x20',
      'requests_total{job="public",route="unmatched",decision="rejected",reason="method_not_allowed"}': '0+100x30',
      'requests_total{job="public",route="/admin/*",decision="rejected",reason="route_rejected"}': '0+100x30',
      'requests_total{job="public",route="/notify",decision="rejected",reason="client_closed"}': '0+100x30',
      'requests_total{job="public",route="/notify",decision="accepted"}': '0+1x30',
      'requests_total{job="idle",route="/notify",decision="accepted"}': '0x30',
      'requests_total{job="idle",route="/notify",decision="rejected",reason="missing_signature"}': '0x30',
    },
    alerts: { '12m': [], '25m': [] },
  }),
  fires('RejectionRatioHigh', 'beside a probe each minute, and so do Overloaded and EverythingRejected', {
    series: {
      'requests_total{route="/notify",decision="probe"}': '0+1x120',
      'requests_total{route="/notify",decision="rejected",reason="signature_mismatch"}':
        '0x40 1 1x14 2 2x14 3 3x14 4 4x60',
      'requests_total{job="full",route="/notify",decision="probe"}': '0+1x120',
      'requests_total{job="full",route="/notify",decision="rejected",reason="overloaded"}':
        '0x40 1 1x14 2 2x14 3 3x14 4 4x60',
    },
    alerts: {
      '95m': [
        'EverythingRejected{route="/notify",severity="critical"}',
        'Overloaded{job="full",severity="critical"}',
        'RejectionRatioHigh{severity="warning"}',
      ],
    },
  }),
  silent('DeliveryFailed', 'for a probe each minute, whatever the app answers it', {
    series: {
      'requests_total{route="/notify",decision="probe"}': '0+1x400',
      'deliveries_total{route="/notify",fate="failed"}': '0x400',
    },
    alerts: { '6h': [] },
  }),
  fires('EverythingRejected', "on a busy route minutes after a sender's secret has changed", {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+10x20 200x30',
      'requests_total{route="/notify",decision="rejected",reason="signature_mismatch"}': '0x20 0+10x30',
      'requests_total{route="/other",decision="accepted"}': '0+1000x50',
    },
    alerts: { '20m': [], '28m': ['EverythingRejected{route="/notify",severity="critical"}'] },
    summary: 'No signed delivery gets through on /notify of shop hooks.',
    description:
      '50 were refused and none was accepted: signature_mismatch (70 in an hour), ' +
      'see the hint in the log lines and on the status page. ' +
      'Without one, the secret at Entrupy is not here, or something in front changes bodies.',
  }),
  silent(
    'EverythingRejected',
    'while one is accepted, deferred or a duplicate, in report mode, and for requests without a signature',
    {
      series: {
        'requests_total{job="attacked",route="/notify",decision="accepted"}': '0+1x60',
        'requests_total{job="attacked",route="/notify",decision="rejected",reason="signature_mismatch"}': '0+100x60',
        'requests_total{job="once",route="/notify",decision="duplicate"}': '0+1x60',
        'requests_total{job="once",route="/notify",decision="rejected",reason="signature_mismatch"}': '0+100x60',
        'requests_total{job="deferred",route="/notify",decision="deferred"}': '0+1x60',
        'requests_total{job="deferred",route="/notify",decision="rejected",reason="signature_mismatch"}': '0+100x60',
        'requests_total{job="report",route="/notify",decision="reported",reason="signature_mismatch"}': '0+100x60',
        'requests_total{job="noise",route="/notify",decision="rejected",reason="missing_signature"}': '0+100x60',
      },
      alerts: {
        '15m': OTHERS,
        '55m': OTHERS,
      },
    },
  ),
  fires('Overloaded', 'when more than one in a hundred finds no room', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+1000x20',
      'requests_total{pod="b",route="/notify",decision="rejected",reason="overloaded"}': '0+20x20',
    },
    alerts: { '15m': ['Overloaded{severity="critical"}'] },
  }),
  silent('Overloaded', 'for a few, and for a small share', {
    series: {
      'requests_total{job="few",route="/notify",decision="accepted"}': '0+1x20',
      'requests_total{job="few",route="/notify",decision="rejected",reason="overloaded"}': '0x5 0 1 2 3x15',
      'requests_total{job="busy",route="/notify",decision="accepted"}': '0+10000x20',
      'requests_total{job="busy",route="/notify",decision="rejected",reason="overloaded"}': '0+20x20',
    },
    alerts: { '10m': [], '15m': [] },
  }),
  fires('NoLiveSecret', 'for one pod of two, and counts it', {
    series: {
      'route_report_mode{route="/notify"}': '0x20',
      'route_report_mode{pod="b",route="/notify"}': '0x20',
      'secret_matches_total{route="/notify",secret="old"}': '0x20',
      'secret_matches_total{route="/notify",secret="new"}': '0x20',
      'secret_matches_total{pod="b",route="/notify",secret="old"}': '0x20',
      'secret_live{secret="old"}': '0x20',
      'secret_live{secret="new"}': '1x20',
      'secret_live{pod="b",secret="old"}': '1x5 0x15',
    },
    alerts: { '5m': [], '10m': ['NoLiveSecret{route="/notify",severity="critical"}'] },
    summary: '1 pod(s) of shop hooks have no live secret for /notify.',
    description:
      'Senders get 503 there. Put a value where the secret is read from, or correct its dates or the clock; ' +
      'a file is picked up without a restart.',
  }),
  fires('NoLiveSecret', 'for a route without any secret, whatever others have', {
    series: {
      'route_report_mode{namespace="",pod="",instance="a:9464",route="/notify"}': '0x20',
      'route_report_mode{namespace="",pod="",instance="a:9464",route="/other"}': '0x20',
      'secret_matches_total{namespace="",pod="",instance="a:9464",route="/other",secret="other"}': '0x20',
      'secret_live{namespace="",pod="",instance="a:9464",secret="other"}': '1x20',
    },
    alerts: { '10m': ['NoLiveSecret{route="/notify",severity="critical",namespace=""}'] },
  }),
  silent('NoLiveSecret', 'with one live secret of two, and for a route that only reports', {
    series: {
      'route_report_mode{route="/notify"}': '0x20',
      'route_report_mode{route="/trial"}': '1x20',
      'secret_matches_total{route="/notify",secret="old"}': '0x20',
      'secret_matches_total{route="/notify",secret="new"}': '0x20',
      'secret_live{secret="old"}': '0x20',
      'secret_live{secret="new"}': '1x20',
    },
    alerts: { '15m': [] },
  }),
  fires('ReloadFailed', 'once for the job and names a pod', {
    series: {
      last_reload_successful: '1x20',
      'last_reload_successful{pod="b"}': '1x3 0x20',
    },
    alerts: { '15m': ['ReloadFailed{severity="warning"}'] },
    summary: 'The last reload failed on 1 pod(s) of shop hooks.',
    description: 'The last good state is still in use. See the log of b b:9464, which names the file and the problem.',
  }),
  silent('ReloadFailed', 'when a reload fixes it within minutes', {
    series: { last_reload_successful: '1x5 0x3 1x20' },
    alerts: { '8m': ['ReloadFailed{alertstate="pending",severity="warning"}'], '12m': [] },
  }),
];
