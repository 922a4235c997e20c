// Non-starters: characters that normalisation sorts (accents and other marks, Unicode's combining class not 0). ICU takes
// time quadratic in a run of them: 6.6 s for 255 KB. No language needs more than 30 in a row (UAX #15, stream-safe text).

const MOST_IN_A_ROW = 30;

// Only these characters decompose to non-starters alone, to two at most (U+0344); other characters end in three at most
// (U+1F82) and begin with none. A test tries every code point.
const SUSPECTS = /[^\p{M}\uff9e\uff9f]?[\p{M}\uff9e\uff9f]{14,}/gu;
/** Matches what may hold suspects. ASCII is no mark, and ends with none. Costs a tenth for what is mostly ASCII. */
const NON_ASCII = /[^\x00-\x7f]{14,}/g;

/** True if the text, once decomposed (NFKD), has more than 30 non-starters in a row. Linear; normalises single characters. */
export function hasLongRun(text: string): boolean {
  const runs = text.match(NON_ASCII)?.flatMap((part) => part.match(SUSPECTS) ?? []) ?? [];
  return runs.some((suspects) => {
    let run = 0;
    for (const character of suspects) {
      for (const part of character.normalize('NFKD')) {
        run = isNonStarter(part) ? run + 1 : 0;
        if (run > MOST_IN_A_ROW) return true;
      }
    }
    return false;
  });
}

/**
 * True if sorting moves the character. JavaScript has no property for the combining class, but between U+0345, of the
 * highest one, and U+0334, of the lowest, only a starter stays. The character must be decomposed.
 */
export function isNonStarter(character: string): boolean {
  const between = `\u0345${character}\u0334`;
  return between.normalize('NFD') !== between;
}
