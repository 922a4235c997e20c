// The rows of the dashboard, in the order in which someone on call asks.
import { capacityRow } from './capacity.ts';
import type { Panel } from './panels.ts';
import { refusalsRow } from './refusals.ts';
import { rotationRow } from './rotation.ts';
import { upstreamRow } from './upstream.ts';
import { verdictRow } from './verdict.ts';

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export const ROWS: readonly Row[] = [
  { title: 'Verdict', panels: verdictRow() },
  { title: 'Is somebody knocking with bad signatures?', panels: refusalsRow() },
  { title: 'Did a rotation go wrong?', panels: rotationRow() },
  { title: 'Is the app down?', panels: upstreamRow() },
  { title: 'Is there room?', panels: capacityRow() },
];
