// Colours for terminals. util is imported as a whole, not by name: Node 18 lacks styleText, and `--help` must load there.
import util from 'node:util';

type Colour = 'red' | 'yellow' | 'green' | 'dim' | 'bold';

export type Paint = (colour: Colour, text: string) => string;

export const plainText: Paint = (_, text) => text;

/**
 * Returns a function that colours only for a terminal, so that no escape sequence reaches a file or a pipe, and not if
 * NO_COLOR is set (https://no-color.org) or the terminal is dumb.
 */
export function painter(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  if (stream.isTTY !== true || env.NO_COLOR || env.TERM === 'dumb') return plainText;
  return (colour, text) => util.styleText(colour, text, { validateStream: false });
}
