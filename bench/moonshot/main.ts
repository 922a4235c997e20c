// `PORT=… UPSTREAM=http://127.0.0.1:… SECRET=… node bench/moonshot/main.ts undici|raw`: the prototype with one verified route. For
// measurements and tests alone: it has no TLS, no drain, no metrics, no log and no reload.
import { createSecretKey } from 'node:crypto';
import { Keyring } from '../../src/core/keyring.ts';
import { rejecting, verifying } from './routes.ts';
import { type Prototype, start } from './start.ts';

const { PORT = '0', UPSTREAM = '', SECRET = '' } = process.env;
process.on('SIGTERM', () => process.exit());

const way: Prototype['way'] = process.argv[2] === 'raw' ? 'raw' : 'undici';
const key = createSecretKey(SECRET, 'utf8');
await start({
  way,
  port: Number(PORT),
  upstream: UPSTREAM,
  routes: [verifying({ path: '/notify' })],
  unmatched: rejecting({ path: 'unmatched' }),
  keyring: new Keyring([{ id: 'current', key, notBefore: null, notAfter: null }]),
});
