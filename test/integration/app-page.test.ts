// docs/app.md signs as Entrupy does, in each language that it shows.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { blocksOf } from '../support/docs/blocks.ts';
import { haveTools } from '../support/machine/tools.ts';

const SECRET = 'a secret of the page, 32 bytes and more';
const BODY = '{"hello":"entrupy"}';
const blockOf = (language: string) => blocksOf('docs/app.md', language)[0] ?? expect.fail(`no block in ${language}`);
const env = { ...process.env, WEBHOOK_ENDPOINT_SECRET_KEY: SECRET };

test.for([
  ['sh', 'openssl', 'bash', ['-c', `${blockOf('sh')}\nprintf %s "$SIGNATURE"`]],
  [
    'js',
    'bash',
    process.execPath,
    ['--input-type=module', '-e', `${blockOf('js')}\nprocess.stdout.write(signature('${SECRET}', '${BODY}'))`],
  ],
  ['python', 'python3', 'python3', ['-c', `${blockOf('python')}\nprint(signature('${SECRET}', b'${BODY}'), end='')`]],
] as const)('in %s', ([, tool, program, options], { skip }) => {
  skip(!haveTools(tool), `there is no ${tool}`);
  expect(execFileSync(program, options, { env, encoding: 'utf8' })).toBe(sign(SECRET, BODY));
});
