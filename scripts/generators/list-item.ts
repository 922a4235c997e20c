/** An item of a Markdown list, in lines of at most 120 columns. */
export function listItem(text: string): string {
  return wrapped(`- ${text}`, '  ');
}

export function wrapped(text: string, indent = ''): string {
  return text.replaceAll(/(.{1,118})(?: |$)/g, `$1\n${indent}`).trimEnd();
}
