// What the page says is wrong is in the log, too, once an hour at most; of what is a note, one alone.
import { expect, test } from 'vitest';
import type { Advice } from '../../../src/admin/advice/advice.ts';
import type { Diagnosis } from '../../../src/core/diagnoses-and-remedies.ts';
import { createLog } from '../../../src/log/log.ts';
import { DiagnosisLog } from '../../../src/runtime/status.ts';

const advice = (id: Diagnosis, state: Advice['state']): Advice => ({
  id,
  state,
  message: id,
  remedy: 'r',
  page: 'p',
  follows: [],
});

test('a diagnosis has one line an hour, by its state; signed requests that nobody verifies also as a note', () => {
  const lines: string[] = [];
  const log = new DiagnosisLog(createLog('info', (line) => lines.push(line)));
  const seen = [
    advice('app-fails', 'failed'),
    advice('report-mode', 'warning'),
    advice('signed-unverified', 'note'),
    advice('secret-value', 'note'),
    advice('nothing-proven', 'ok'),
  ];
  for (const now of [0, 1000, 3_599_999]) log.look(seen, now);
  const told = [
    { level: 'error', msg: 'diagnosis', diagnosis: 'app-fails' },
    { level: 'warn', msg: 'diagnosis', diagnosis: 'report-mode' },
    { level: 'info', msg: 'diagnosis', diagnosis: 'signed-unverified' },
  ];
  expect(lines.map((line) => JSON.parse(line))).toMatchObject(told);
  log.look(seen, 3_600_000);
  expect(lines).toHaveLength(2 * told.length);
});
