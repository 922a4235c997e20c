// All cases of the alerting rules. promtool runs them in the end-to-end tests.
import { DELIVERIES } from './deliveries.ts';
import { FOUR_AN_HOUR } from './four-an-hour.ts';
import { HEALTHY_DAY } from './healthy-day.ts';
import { REFUSALS } from './refusals.ts';
import type { RuleFile } from './rule-case.ts';
import { SECRETS } from './secrets.ts';
import { WEEKS } from './weeks.ts';

export const RULE_FILES: readonly RuleFile[] = [
  ...[DELIVERIES, FOUR_AN_HOUR, HEALTHY_DAY, REFUSALS].map((cases) => ({ every: '1m', cases })),
  { every: '10m', sampled: '5m', cases: SECRETS },
  { every: '15m', sampled: '5m', cases: WEEKS },
];
