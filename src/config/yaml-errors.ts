// The errors of the YAML library in our words, with the place that the user must correct. None quotes the text, which
// may hold a secret. The library gives one code to several mistakes, so its message and the text decide between them.
import type { YAMLError } from 'yaml';
import type { ProblemAt } from './problems.ts';

type Sentence = readonly [code: string, message: RegExp, sentence: string];

const ANY = /(?:)/;
/** The first that fits. */
const SENTENCES: readonly Sentence[] = [
  ['BAD_INDENT', /end with a/, 'the "[" or "{" above is not closed, or what is within it is not indented'],
  ['BAD_INDENT', ANY, 'the indentation does not match the lines above'],
  ['BAD_SCALAR_START', ANY, 'a value that begins with this character needs quotes'],
  ['BLOCK_AS_IMPLICIT_KEY', ANY, 'a second "key:" on the line; a value that contains ": " needs quotes'],
  ['BLOCK_IN_FLOW', ANY, 'inside [ ] or { } only the [ ] and { } style is allowed'],
  ['MISSING_CHAR', /closing/, 'a closing quote is missing'],
  ['MISSING_CHAR', /map values/, 'a ":" and a value are missing after this key'],
  ['MISSING_CHAR', /between/, 'a comma or a ":" is missing between two entries of [ ] or { }'],
  ['MISSING_CHAR', /space/, 'a space is missing before this'],
  ['MISSING_CHAR', /without -/, 'a "- " is missing before this entry of a list'],
  ['MISSING_CHAR', ANY, 'a closing bracket, quote, comma or colon is missing'],
  ['MULTILINE_IMPLICIT_KEY', ANY, 'a ":" is missing after this key'],
  ['MULTIPLE_DOCS', ANY, 'a second document begins here; only one is allowed'],
  ['NON_STRING_KEY', ANY, 'a key must be plain text'],
  ['TAB_AS_INDENT', ANY, 'a tab is used for indentation; YAML allows only spaces'],
  ['UNEXPECTED_TOKEN', ANY, 'this does not match the lines above: is the indentation wrong, or a ":" missing?'],
  ['BAD_DQ_ESCAPE', ANY, "an unknown escape in double quotes; single quotes keep a '\\' as it is"],
  ['RESOURCE_EXHAUSTION', ANY, 'the file is nested too deeply'],
  ['BAD_DIRECTIVE', ANY, 'an unknown %directive'],
];

const TOO_FAR = 'this line is indented too far: the line above already has its value. Begin its key in the same column';
export const NO_SPACE = 'a space is missing after the ":" of this key';

/** True for `mode:report`, which YAML reads as one word. */
export function lacksSpace(text: string): boolean {
  return /^[A-Za-z]\w*:(?!\/\/)[^\s:]/.test(text);
}

/** The errors as problems, one for each place. */
export function yamlProblems(errors: readonly YAMLError[], text: string): ProblemAt[] {
  const problems = errors.map((error) => problemOf(error, text)).reverse();
  return [...new Map(problems.map((one) => [one.at, one])).values()];
}

function problemOf({ code, pos, message: said }: YAMLError, text: string): ProblemAt {
  const [at] = pos;
  const rest = text.slice(at);
  if (['MISSING_CHAR', 'MULTILINE_IMPLICIT_KEY'].includes(code) && lacksSpace(rest)) return atOffset(at, NO_SPACE);
  // Where the value's own line holds no second key, the key is on the line below.
  const isBelow = ['BLOCK_AS_IMPLICIT_KEY', 'MULTILINE_IMPLICIT_KEY'].includes(code) && !/^.*:(?:\s|$)/.test(rest);
  const below = isBelow ? /^.*\n(?:[ ]*\n)*[ ]*(?=\S+:(?:\s|$))/.exec(rest) : null;
  if (below !== null && isValue(text, at)) return atOffset(at + below[0].length, TOO_FAR);
  const [, , sentence] = SENTENCES.find(([name, fits]) => name === code && fits.test(said)) ?? [];
  return atOffset(at, sentence ?? 'this is not valid YAML');
}

/** True if a key and its colon stand before this place on its line. */
function isValue(text: string, at: number): boolean {
  return /:[ ]+$/.test(text.slice(text.lastIndexOf('\n', at - 1) + 1, at));
}

export const atOffset = (at: number, message: string): ProblemAt => ({ path: [], at, message });
