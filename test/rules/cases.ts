// The cases of the alerting rules: each alert fires in one, and keeps silent where it must. agreement.ts proves that alerts and
// status pages agree. promtool runs both in the end-to-end tests.
import { fires, quarters, type RuleCase, type RuleFile, silent } from './rule-case.ts';

const FAILS = 'diagnosis{diagnosis="app-fails",state="failed",route="/notify"}';
const HANGS = 'diagnosis{diagnosis="app-hangs",state="failed",route="/notify"}';
const BUILD = 'build_info{version="1"}';
const STARTED = (pod: string) => `process_start_time_seconds{pod="${pod}"}`;
const fate = (name: string, pod = 'a') => `deliveries_total{pod="${pod}",route="/notify",fate="${name}"}`;
const result = (name: string, pod = 'a') => `redelivered_total{pod="${pod}",route="/notify",result="${name}"}`;

const FAILED = 'Failed{route="/notify",severity="critical"}';
const LOST = 'DeliveriesLost{route="/notify",severity="warning"}';
const TRIAL = ['ReportModeTooLong{route="/trial",severity="info"}'];
const NONE_TAKEN = 'DeliveriesLost{route="/notify",severity="critical"}';

const BY_PAGES: readonly RuleCase[] = [
  fires('Failed', 'once for a job after two minutes, although the diagnosis alternates and another pod takes over', {
    series: {
      [FAILS]: '_x10 1 stale 1 stale _x20',
      [HANGS]: '_x10 _ 1 stale stale _x20',
      'diagnosis{pod="b",diagnosis="app-down",state="failed",route="/notify"}': '_x13 1x20',
      'diagnosis{pod="c",diagnosis="app-hangs",state="failed",route="/notify"}': '_x13 1x20',
      'diagnosis{pod="d",diagnosis="app-down",state="failed",route="/notify"}': '_x13 1x20',
    },
    alerts: {
      '11m': ['Failed{route="/notify",severity="critical",alertstate="pending"}'],
      '12m': [FAILED],
      '20m': [FAILED],
    },
    moment: '20m',
    summary: 'Act now on shop hooks /notify: app-down (2 pod(s)) app-hangs (1 pod(s)).',
    description:
      'Deliveries are not taken, or will be lost soon. The runbook has a section on each of these words that says what ' +
      'to do, and entrupy-signature-proxy explain prints it; the status page (port 9464) shows the evidence.',
    section: 'app-down',
  }),
  fires('Failed', 'for what concerns no route, and in a Prometheus that knows no namespace', {
    series: { 'diagnosis{namespace="",pod="",diagnosis="store-damaged",state="failed"}': '_x10 1x20' },
    alerts: { '15m': ['Failed{severity="critical",namespace=""}'] },
  }),
  fires('Warning', 'for each diagnosis after five minutes, and names its section', {
    series: {
      'diagnosis{diagnosis="certificate-ends",state="warning"}': '1x40',
      'diagnosis{pod="b",diagnosis="certificate-ends",state="warning"}': '1x40',
      'diagnosis{diagnosis="app-fails",state="warning",route="/notify"}': '_x10 1x30',
    },
    alerts: {
      '9m': ['Warning{diagnosis="certificate-ends",severity="warning"}'],
      '20m': [
        'Warning{diagnosis="app-fails",route="/notify",severity="warning"}',
        'Warning{diagnosis="certificate-ends",severity="warning"}',
      ],
    },
    moment: '9m',
    summary: 'Look at shop hooks: certificate-ends (2 pod(s)).',
    description:
      'The runbook says what to do, and so does entrupy-signature-proxy explain certificate-ends; the status page (port ' +
      '9464) shows the evidence.',
    section: 'certificate-ends',
  }),
  silent('Warning', 'for what is over within minutes, was chosen, may be strangers’, or has an alert of its own', {
    series: {
      'diagnosis{diagnosis="app-fails",state="warning",route="/notify"}': '_x10 1x4 stale _x20',
      ...Object.fromEntries(
        ['report-mode', 'store-evicts', 'no-signature'].map((diagnosis) => {
          return [`diagnosis{diagnosis="${diagnosis}",state="warning",route="/notify"}`, '1x40'];
        }),
      ),
    },
    alerts: {
      '14m': ['Warning{diagnosis="app-fails",route="/notify",severity="warning",alertstate="pending"}'],
      '30m': [],
    },
  }),
];

const BY_COUNTERS: readonly RuleCase[] = [
  fires('DeliveriesLost', 'as a warning at the first, at four an hour, and is over an hour later', {
    series: {
      [fate('taken')]: quarters('11111111111'),
      [fate('failed')]: quarters('...1.......'),
      [result('lost')]: '0x180',
    },
    alerts: { '59m': [], '62m': [LOST], '115m': [LOST], '125m': [] },
    moment: '62m',
    summary: 'Deliveries to shop hooks /notify may be lost.',
    description:
      '1 in an hour failed, were abandoned by their sender, or were lost from the store. Find the events again: the log ' +
      'lines and the status page have their time, cause and body_sha256.',
  }),
  fires('DeliveriesLost', 'as critical at the third in an hour, of all pods, where none was taken', {
    series: {
      [fate('failed')]: quarters('..1......'),
      [fate('abandoned', 'b')]: quarters('...1.....'),
      [result('lost', 'b')]: quarters('....1....'),
      [fate('taken')]: '5x140',
    },
    alerts: { '58m': [LOST], '65m': [LOST], '78m': [NONE_TAKEN, LOST], '140m': [] },
  }),
  fires('DeliveriesLost', 'as critical at a fifth of the last quarter of an hour, and in each life of a crash loop', {
    series: {
      // 25 s of 500 in each 100 s: no page is red for two minutes.
      [fate('failed')]: '0x10 9+9x30',
      [fate('taken')]: '0x10 32+32x30',
      // Killed again and again, it always comes as far before the next scrape.
      'deliveries_total{namespace="loop",pod="l",route="/notify",fate="failed"}': '2x60',
      'deliveries_total{namespace="loop",pod="l",route="/notify",fate="taken"}': '0x60',
      'process_start_time_seconds{namespace="loop",pod="l"}': '1x10 580 640 700x50',
      'deliveries_total{namespace="few",route="/notify",fate="failed"}': '0x10 9+9x30',
      'deliveries_total{namespace="few",route="/notify",fate="taken"}': '0x10 40+40x30',
    },
    alerts: {
      '11m': [
        'DeliveriesLost{namespace="few",route="/notify",severity="warning"}',
        'DeliveriesLost{namespace="loop",route="/notify",severity="warning"}',
        'DeliveriesLost{namespace="loop",route="/notify",severity="critical",alertstate="pending"}',
        LOST,
        NONE_TAKEN.replace('}', ',alertstate="pending"}'),
      ],
      '30m': [
        'DeliveriesLost{namespace="few",route="/notify",severity="warning"}',
        'DeliveriesLost{namespace="loop",route="/notify",severity="warning"}',
        'DeliveriesLost{namespace="loop",route="/notify",severity="critical"}',
        LOST,
        NONE_TAKEN,
      ],
    },
  }),
  silent('DeliveriesLost', 'as critical where most were taken or delivered later, whichever pod it was', {
    series: {
      [fate('failed')]: '0x10 9x50',
      [fate('taken', 'b')]: '0x10 40x50',
      'deliveries_total{namespace="later",route="/notify",fate="failed"}': '0x10 1 2 3x50',
      'redelivered_total{namespace="later",route="/notify",result="delivered"}': '0x9 13x50',
      // Before the first scrape.
      'deliveries_total{namespace="young",pod="y",route="/notify",fate="failed"}': '_x10 4x50',
      'deliveries_total{namespace="young",pod="y",route="/notify",fate="taken"}': '_x10 20x50',
      'process_start_time_seconds{namespace="young",pod="y"}': '_x10 580x50',
    },
    alerts: Object.fromEntries(
      ['20m', '30m'].map((moment) => [
        moment,
        [
          'DeliveriesLost{namespace="later",route="/notify",severity="warning"}',
          'DeliveriesLost{namespace="young",route="/notify",severity="warning"}',
          LOST,
        ],
      ]),
    ),
  }),
  fires('DeliveriesLost', 'for what a process lost before its first scrape, and after it began anew from 0', {
    series: {
      [fate('failed', 'late')]: '_x10 1x30',
      [STARTED('late')]: '_x10 580x30',
      'deliveries_total{namespace="reset",pod="docker",route="/notify",fate="failed"}': '7x10 0x5 1x25',
      'deliveries_total{namespace="again",pod="docker",route="/notify",fate="failed"}': '0x2 5x8 0x30',
      'process_start_time_seconds{namespace="again",pod="docker"}': '0x10 630x30',
      // It lost them long ago; only Prometheus is new.
      'deliveries_total{namespace="old",pod="old",route="/notify",fate="failed"}': '_x100 5x30',
      'process_start_time_seconds{namespace="old",pod="old"}': '_x100 1200x30',
    },
    alerts: {
      '20m': [
        'DeliveriesLost{namespace="again",route="/notify",severity="warning"}',
        'DeliveriesLost{namespace="again",route="/notify",severity="critical"}',
        'DeliveriesLost{namespace="reset",route="/notify",severity="warning"}',
        LOST,
      ],
      '120m': [],
    },
  }),
  silent(
    'DeliveriesLost',
    'for what waits, is kept, was dropped, replaced or refused, and for routes without a series',
    {
      series: {
        [fate('deferred')]: '0x10 9x50',
        [fate('refused')]: '0x10 9x50',
        [fate('failed')]: '70x60',
        ...Object.fromEntries(
          ['client_error', 'expired', 'unverified', 'dropped', 'replaced'].map((name) => [result(name), '0x10 9x50']),
        ),
      },
      alerts: { '12m': [], '40m': [] },
    },
  ),
  fires('DeliveriesLost', 'for refusals of seconds, which no counter has, for an hour from when their page says so', {
    series: {
      'diagnosis{diagnosis="another-secret",state="failed",route="/notify"}': '_x10 1 stale _x200',
      'diagnosis{diagnosis="deliveries-lost",state="warning",route="/notify"}': '_x11 1x200',
      [fate('failed')]: '0x200',
    },
    alerts: {
      '10m': ['Failed{route="/notify",severity="critical",alertstate="pending"}'],
      '11m': [LOST],
      '65m': [LOST],
      '75m': [],
    },
    moment: '11m',
    summary: 'Deliveries to shop hooks /notify may be lost.',
    description:
      'No counter has their number: look at the status page. Find the events again: the log lines and ' +
      'the status page have their time, cause and body_sha256.',
  }),
  fires('DeliveriesLost', 'for what a damaged store held, which no counter has, and once for what a counter has', {
    series: {
      'diagnosis{diagnosis="deferred-lost",state="warning",route=""}': '_x11 1x200',
      'redelivered_total{route="/notify",result="lost"}': '0x20 3x180',
    },
    alerts: {
      '11m': ['DeliveriesLost{severity="warning"}'],
      '22m': [LOST, 'DeliveriesLost{route="/notify",severity="critical"}'],
    },
  }),
  fires('DeliveriesLost', 'once for a route that a reload has removed: its page and its counter have one label', {
    series: {
      'deliveries_total{route="/old",fate="failed"}': '0x10 1x5 stale',
      'diagnosis{diagnosis="deliveries-lost",state="warning",route="/old"}': '_x11 1x60',
    },
    alerts: {
      '14m': ['DeliveriesLost{route="/old",severity="warning"}'],
      '30m': ['DeliveriesLost{route="/old",severity="warning"}'],
    },
  }),
  fires('Gone', 'five minutes after the last pod, for hours, and not for the job beside', {
    series: {
      [BUILD]: '1x60 stale _x500',
      'build_info{pod="b",version="1"}': '1x59 stale _x500',
      'build_info{namespace="other",version="1"}': '1x560',
    },
    alerts: {
      '64m': ['Gone{severity="critical",alertstate="pending"}'],
      '70m': ['Gone{severity="critical"}'],
      '410m': ['Gone{severity="critical"}'],
      '430m': [],
    },
  }),
  silent('Gone', 'for a pod that is replaced and for a scrape that failed', {
    series: {
      [BUILD]: '1x60 stale _x100',
      'build_info{pod="b",version="2"}': '_x63 1x40 stale 1x60',
    },
    alerts: {
      '62m': ['Gone{severity="critical",alertstate="pending"}'],
      '70m': [],
      '104m': ['Gone{severity="critical",alertstate="pending"}'],
      '110m': [],
    },
  }),
];

const BY_WEEKS: readonly RuleCase[] = [
  fires(
    'ReportModeTooLong',
    'after a week, across pods, and not for what enforced in between or reports since yesterday',
    {
      series: {
        'route_report_mode{route="/trial"}': '1x1000 _x1200',
        'route_report_mode{pod="b",route="/trial"}': '_x995 1x1200',
        'route_report_mode{route="/between"}': '1x1000 0x288 1x1000',
        'route_report_mode{route="/new"}': '_x1800 1x500',
      },
      alerts: { '6d': [], '170h': TRIAL, '190h': TRIAL },
    },
  ),
  fires('NoDeliveries', "when those of last week's hour stay away; at four an hour once six hours that had some do", {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+5x2040 10200x200',
      'requests_total{route="/quiet",decision="accepted"}': '0+0.3333x2040 680x200',
      'requests_total{route="unmatched",decision="accepted"}': '0x2240',
      'build_info{version="1"}': '1x2240',
    },
    alerts: {
      '170h': [],
      '172h': ['NoDeliveries{route="/notify",severity="warning"}'],
      '178h': ['NoDeliveries{route="/notify",severity="warning"}', 'NoDeliveries{route="/quiet",severity="warning"}'],
    },
    moment: '172h',
    summary: 'No delivery comes to /notify of shop hooks.',
    description: 'At this time of the week there were 60: in an hour, or on a quiet route in six.',
  }),
  fires('NoDeliveries', 'on a young installation from its second day on, and when every pod is gone', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+5x300 _x100',
      'build_info{version="1"}': '1x300 _x100',
    },
    alerts: { '28h': ['Gone{severity="critical"}', 'NoDeliveries{route="/notify",severity="warning"}'] },
  }),
  silent('NoDeliveries', 'at an hour that never had any, where few came, and for a route that was taken away', {
    series: {
      'requests_total{route="/night",decision="accepted"}': '0+5x100 500x187 500+5x100 1000x100',
      'requests_total{route="/few",decision="accepted"}': '0x11 1x11 2x11 3x11 4x440',
      'requests_total{route="/removed",decision="accepted"}': '0+5x300 _x190',
      'requests_total{route="/reported",decision="reported",reason="missing_signature"}': '0+5x490',
      'build_info{version="1"}': '1x490',
    },
    alerts: { '25h': [], '28h': [], '35h': [] },
  }),
  silent('NoDeliveries', 'at four an hour over a night that never had any', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+0.3333x144 48x144 48+0.3333x144 96x144 96+0.3333x144',
      'build_info{version="1"}': '1x720',
    },
    alerts: { '47h': [], '50h': [] },
  }),
];

export const RULE_FILES: readonly RuleFile[] = [
  { every: '1m', cases: [...BY_PAGES, ...BY_COUNTERS] },
  { every: '15m', sampled: '5m', cases: BY_WEEKS },
];
