// Header lines as a flat list: name, value, name, value …; one character a byte. Order, spelling and duplicates are kept.

/** True where the line at `index` has this lower-case name. The length is looked at first: most names differ in it. */
export function isLine(lines: readonly string[], index: number, lowerCaseName: string): boolean {
  const name = lines[index] ?? '';
  return name.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName;
}

/**
 * Takes SP and HTAB off the ends of values, which llhttp leaves there (RFC 9112 5.1). Never `.trim()`: that also takes U+00A0
 * and other bytes that belong to a value.
 */
export function trimValues(lines: string[]): void {
  for (let index = 1; index < lines.length; index += 2) {
    const value = lines[index] ?? '';
    let end = value.length;
    while (end > 0 && isOuterSpace(value.charCodeAt(end - 1))) end--;
    if (end < value.length) lines[index] = value.slice(0, end);
  }
}

/** True where the line at `index` is a Connection with the option `close`. llhttp 9.3 does not know it with a tab behind it. */
export function saysClose(lines: readonly string[], index: number): boolean {
  if (!isLine(lines, index, 'connection') && !isLine(lines, index, 'proxy-connection')) return false;
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(lines[index + 1] ?? '');
}

function isOuterSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
