// The bare HMAC: CPU microseconds for one signature of a body of BYTES, as {"micros":…} on standard output.
import { createHmac, randomBytes } from 'node:crypto';

const bytes = Number(process.argv[2]);
const secret = randomBytes(32).toString('base64');
const body = randomBytes(bytes);
const rounds = Math.max(200, Math.round(2e8 / (bytes + 2000)));

function turn(times) {
  let length = 0;
  for (let round = 0; round < times; round++)
    length += createHmac('sha256', secret).update(body).digest('base64').length;
  return length;
}

turn(rounds);
const before = process.cpuUsage();
turn(rounds);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ micros: (user + system) / rounds }));
