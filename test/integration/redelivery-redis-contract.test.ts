// The store of deferred deliveries in a real Redis and a real Valkey keeps what every store promises.
import { afterAll, beforeAll, describe } from 'vitest';
import { HAS_SERVERS, type RedisServer, SERVERS, startRedis } from '../support/once/redis.ts';
import { placeOn } from '../support/redelivery/redis-store.ts';
import { storeContract } from '../support/redelivery/store-contract.ts';

describe.skipIf(!HAS_SERVERS).each(SERVERS)('with %s', (program) => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis(program);
  });

  afterAll(() => server.kill());

  storeContract('a store in Redis', async () => placeOn(server));
});
