// The embedded store keeps what every store promises.
import { storeContract } from '../../support/redelivery/store-contract.ts';
import { makePlace } from './sqlite-fixtures.ts';

storeContract('SQLite', makePlace);
