// Alerts that look a week back.
import { fires, type RuleCase, silent } from './rule-case.ts';

export const WEEKS: readonly RuleCase[] = [
  fires('ReportModeTooLong', 'after a week, across pods', {
    series: {
      'route_report_mode{route="/trial"}': '1x1000 _x1200',
      'route_report_mode{pod="b",route="/trial"}': '_x995 1x1200',
    },
    alerts: { '6d': [], '170h': ['ReportModeTooLong{route="/trial",severity="info"}'] },
  }),
  silent('ReportModeTooLong', 'when the route enforced in between, or reports since yesterday', {
    series: {
      'route_report_mode{route="/trial"}': '1x1000 0x288 1x1000',
      'route_report_mode{route="/new"}': '_x1800 1x500',
    },
    alerts: { '175h': [], '190h': [] },
  }),
  fires('NoDeliveries', "when the deliveries of last week's hour stay away", {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+5x2040 10200x200',
      'requests_total{route="unmatched",decision="accepted"}': '0x2240',
      'build_info{version="1"}': '1x2240',
    },
    alerts: { '170h': [], '172h': ['NoDeliveries{route="/notify",severity="warning"}'] },
    summary: 'No delivery comes to /notify of shop hooks.',
    description: 'At this time of the week there were 60: in an hour, or on a quiet route in six.',
  }),
  fires('NoDeliveries', 'on a young installation from its second day on, and when every pod is gone', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+5x300 _x100',
      'build_info{version="1"}': '1x300 _x100',
    },
    alerts: { '28h': ['NoDeliveries{route="/notify",severity="warning"}'] },
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
  fires('NoDeliveries', 'at four an hour, once six hours that always had some stay empty', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+0.3333x2040 680x200',
      'build_info{version="1"}': '1x2240',
    },
    alerts: { '172h': [], '178h': ['NoDeliveries{route="/notify",severity="warning"}'] },
  }),
  silent('NoDeliveries', 'at four an hour over a night that never had any', {
    series: {
      'requests_total{route="/notify",decision="accepted"}': '0+0.3333x144 48x144 48+0.3333x144 96x144 96+0.3333x144',
      'build_info{version="1"}': '1x720',
    },
    alerts: { '47h': [], '50h': [] },
  }),
];
