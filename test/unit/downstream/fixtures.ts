// Limits of a listener that no test here reaches.
export const LIMITS = {
  connections: 100,
  keepAlive: 60_000,
  headersTimeout: 60_000,
  connectionAge: 3_600_000,
  whenMany: 'keep',
  maxHeader: 16_384,
  unreadAnswers: 100,
  tls: null,
} as const;
