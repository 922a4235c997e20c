// Routes with the product's defaults, for the prototype.
import type { Route } from '../../src/core/routes.ts';

type Some = Partial<Route> & Pick<Route, 'path'>;

const DEFAULTS = {
  secrets: null,
  mode: 'enforce',
  reportUntil: null,
  maxBody: 1024 * 1024,
  query: 'forward',
  once: null,
  upgrade: [],
  allowHeaders: [],
  responseTimeout: null,
  idleTimeout: null,
} as const;

export const verifying = (some: Some): Route => ({ ...DEFAULTS, action: 'verify', methods: ['POST'], ...some });
export const forwarding = (some: Some): Route => ({ ...DEFAULTS, action: 'forward', methods: null, ...some });
export const rejecting = (some: Some): Route => ({ ...DEFAULTS, action: 'reject', methods: null, ...some });
