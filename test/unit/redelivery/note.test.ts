// A note fits its bound and can be read, whatever its words are.
import { expect, test } from 'vitest';
import { MAX_NOTE, noteText, readNote } from '../../../src/redelivery/note.ts';
import { noteOf } from '../../support/redelivery/stores.ts';

const LONG = '\u20ac'.repeat(1024); // six bytes each, in ASCII

test.for(['route', 'method', 'path', 'secret', 'key'])('a long %s is left out, and what counts stays', (word) => {
  const note = noteOf({ [word]: LONG, attempts: 7, failure: 'altered' });
  const text = noteText(note);
  expect(text.length).toBeLessThanOrEqual(MAX_NOTE);
  const { came } = note;
  expect(readNote(text)).toEqual(
    noteOf({ came, route: null, method: '', path: '', secret: '', key: '', attempts: 7, failure: 'altered' }),
  );
});

test('beyond its bounds it is none: what lists a note makes a date of each time', () => {
  const text = noteText(noteOf());
  expect(readNote(text.padEnd(MAX_NOTE))).not.toBeNull();
  expect(readNote(text.padEnd(MAX_NOTE + 1))).toBeNull();
  for (const time of ['came', 'tried']) {
    expect(readNote(noteText(noteOf({ [time]: 8.64e15 })))).not.toBeNull();
    expect(readNote(noteText(noteOf({ [time]: 8.64e15 + 1 })))).toBeNull();
  }
});

test('words that fit all stay', () => {
  const note = noteOf({ path: LONG.slice(0, 300), secret: LONG.slice(0, 100), method: LONG.slice(0, 100) });
  expect(readNote(noteText(note))).toEqual(note);
});
