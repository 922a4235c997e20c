// The rows of the dashboard, in the order of an on-call engineer's questions.
import { capacityRow } from './capacity.ts';
import type { Panel } from './panels.ts';
import { redeliveryRow } from './redelivery.ts';
import { refusalsRow } from './refusals.ts';
import { rotationRow } from './rotation.ts';
import { upstreamRow } from './upstream.ts';
import { verdictRow } from './verdict.ts';

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export const ROWS: readonly Row[] = [
  { title: 'What is wrong?', panels: verdictRow() },
  { title: 'Which requests are refused?', panels: refusalsRow() },
  { title: 'Is a rotation failing?', panels: rotationRow() },
  { title: 'Is the app down?', panels: upstreamRow() },
  { title: 'What waits to be sent again?', panels: redeliveryRow() },
  { title: 'Is there enough capacity?', panels: capacityRow() },
];
