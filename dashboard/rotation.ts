// The dashboard's third row: which secrets verify requests, when they expire, and whether all pods have the last change.
import { BAD, GOOD, graph, LOOK, type Panel, table } from './panels.ts';
import { OF_RELEASE, of, RELEASE, totalBy } from './queries.ts';
import { reportedPanel } from './refusals.ts';

const DAY = 86_400;

export function rotationRow(): Panel[] {
  const by = `${RELEASE}, secret`;
  return [
    graph({
      title: 'Accepted, by secret',
      description:
        'During a rotation the matches move from the old secret to the new one. Remove the old one once it stays at 0.',
      runbook: 'secret-ends',
      width: 12,
      queries: [{ expr: totalBy(`secret, ${RELEASE}`, 'secret_matches_total'), legend: `{{secret}} ${OF_RELEASE}` }],
      unit: 'reqps',
      style: 'stacked',
    }),
    graph({
      title: 'Reloads',
      description: 'Reloads of config, secrets and TLS files. After a failure the previous ones stay in use.',
      runbook: 'reload-failed',
      width: 12,
      queries: [{ expr: `sum by (result) (increase(${of('reloads_total')}[$__rate_interval]))`, legend: '{{result}}' }],
      unit: 'short',
      style: 'bars',
      colors: { success: GOOD, failure: BAD },
    }),
    table({
      title: 'Secrets',
      description:
        'If a secret is live on fewer pods than "of" says, the other pods refuse its signatures. If "changed first" and "changed last" differ by more than minutes, a pod did not take the new value. A secret whose matches stay at 0 beside others can go, once that is longer than your sender retries.',
      runbook: 'secret-ends',
      width: 24,
      height: 6,
      keys: ['job', 'namespace', 'secret'],
      sortBy: 'secret',
      columns: [
        {
          name: 'live on pods',
          expr: `sum by (${by}) (${of('secret_live')})`,
          unit: 'none',
          thresholds: [
            { value: null, color: LOOK },
            { value: 1, color: 'transparent' },
          ],
          pixels: 100,
        },
        { name: 'of', expr: `count by (${by}) (${of('secret_live')})`, unit: 'none', pixels: 50 },
        {
          name: 'expires in',
          expr: `min by (${by}) (${of('secret_not_after_timestamp_seconds')}) - time()`,
          unit: 's',
          thresholds: [
            { value: null, color: BAD },
            { value: DAY, color: LOOK },
            { value: 7 * DAY, color: 'transparent' },
          ],
          noValue: 'never',
          pixels: 100,
        },
        {
          name: 'changed first',
          expr: `min by (${by}) (${of('secret_changed_timestamp_seconds')} > 0) * 1000`,
          unit: 'dateTimeFromNow',
          noValue: 'unchanged',
        },
        {
          name: 'changed last',
          expr: `max by (${by}) (${of('secret_changed_timestamp_seconds')} > 0) * 1000`,
          unit: 'dateTimeFromNow',
          noValue: 'unchanged',
        },
        {
          name: 'last match',
          expr: `max by (${by}) (${of('secret_last_match_timestamp_seconds')} > 0) * 1000`,
          unit: 'dateTimeFromNow',
        },
        {
          name: 'matches',
          expr: `sum by (${by}) (increase(${of('secret_matches_total')}[$__range]))`,
          unit: 'short',
          pixels: 90,
        },
      ],
    }),
    graph({
      title: 'Pods, by config',
      description:
        'By the file’s SHA-256. Two colours of a release for longer than a rollout: some pods did not get the new file.',
      runbook: 'pods-that-differ',
      width: 12,
      queries: [
        {
          expr: `count by (config, ${RELEASE}) (label_replace(${of('config_info')}, "config", "$1", "sha256", "(.{0,12}).*"))`,
          legend: `{{config}} ${OF_RELEASE}`,
        },
      ],
      unit: 'short',
      style: 'stacked',
    }),
    reportedPanel(),
  ];
}
