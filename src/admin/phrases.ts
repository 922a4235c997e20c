// Amounts and times in the sentences of the advice.

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** Epoch milliseconds as `2026-11-24 12:00 UTC`. */
export function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
