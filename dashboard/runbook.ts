// The address of the documentation, from package.json's `repository`, which the publisher fills in. Until then rules
// and dashboard name the file and its section, without a dead link.
import { DOCS } from '../src/base/default-places.ts';

/** The runbook's address, or its file in this repository. */
export const RUNBOOK = `${DOCS ?? 'docs'}/alerts.md`;

/**
 * The rules' text with each alert's runbook written as `docs` says; an annotation that is a link is named
 * `runbook_url`.
 */
export function withRunbook(rules: string, docs: string | null): string {
  return rules.replaceAll(/^( +)runbook(?:_url)?: \S*alerts\.md#(.+)$/gm, (_, indent: string, anchor: string) =>
    docs === null ? `${indent}runbook: docs/alerts.md#${anchor}` : `${indent}runbook_url: ${docs}/alerts.md#${anchor}`,
  );
}
