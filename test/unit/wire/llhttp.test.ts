// undici's llhttp: it has what src/wire/llhttp.ts needs, and each of its traps has a test. `raw` shows a trap without
// src/wire around it; the others show how src/wire handles it.
import { describe, expect, test } from 'vitest';
import { MessageParser } from '../../../src/wire/parser.ts';
import { parse, readOn } from '../../support/http/parsed.ts';
import { MODULE, rawLlhttp } from '../../support/http/raw-llhttp.ts';

const [REQUEST, RESPONSE] = [1, 2];
const [PAUSED, PAUSED_UPGRADE, PAUSED_H2_UPGRADE, CLOSED_CONNECTION] = [21, 22, 23, 5];
const GET = 'GET /next HTTP/1.1\r\n\r\n';

const pauseAtTheEnd = { complete: () => PAUSED };
const read = (type: 'request' | 'response', text: string, limits = {}) =>
  parse(type, [Buffer.from(text, 'latin1')], limits);
const targets = (text: string) => read('request', text).messages.map(({ target }) => target);

describe('the module', () => {
  test('calls the functions of src/wire/llhttp.ts, and no others', () => {
    const callbacks = ['message_begin', 'url', 'status', 'header_field', 'header_value', 'headers_complete', 'body'];
    const expected = [...callbacks, 'message_complete'].map((name) => `env.wasm_on_${name}`);
    const imports = WebAssembly.Module.imports(MODULE).map(({ module, name }) => `${module}.${name}`);
    expect(imports.sort()).toEqual(expected.sort());
  });

  test.each([
    ...['memory', '_initialize', 'malloc', 'llhttp_alloc', 'llhttp_free', 'llhttp_reset', 'llhttp_execute'],
    ...['llhttp_resume', 'llhttp_get_error_pos', 'llhttp_get_method', 'llhttp_method_name'],
    ...['llhttp_get_http_major', 'llhttp_get_http_minor'],
    ...['llhttp_message_needs_eof', 'llhttp_should_keep_alive'],
  ])('exports %s', (name) => {
    expect(WebAssembly.Module.exports(MODULE).map((entry) => entry.name)).toContain(name);
  });
});

describe('a pause', () => {
  const CUT = 'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab';

  test('raw: `llhttp_finish` accepts a truncated body as complete while paused', () => {
    const { exports, execute } = rawLlhttp({ body: () => PAUSED });
    const parser = exports.llhttp_alloc(REQUEST);
    expect(execute(parser, CUT)[0]).toBe(PAUSED);
    expect(exports.llhttp_finish(parser)).toBe(0);
    exports.llhttp_resume(parser);
    expect(exports.llhttp_finish(parser)).not.toBe(0);
  });

  test('a truncated body is not complete: `finish` never asks llhttp', () => {
    const parser = new MessageParser('request', 1024);
    readOn(parser, Buffer.from(CUT));
    expect([parser.finish(), parser.state]).toEqual([false, 'body']);
    parser.free();
  });

  test.each([
    ['an upgrade', REQUEST, 'GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n'],
    ['CONNECT', REQUEST, 'CONNECT a:1 HTTP/1.1\r\n\r\n'],
    ['a 101 without Upgrade', RESPONSE, 'HTTP/1.1 101 Odd\r\n\r\n'],
  ])('raw: 21 after %s is followed by 22', (_, type, head) => {
    const { exports, execute } = rawLlhttp(pauseAtTheEnd);
    const parser = exports.llhttp_alloc(type);
    expect(execute(parser, head + GET)).toEqual([PAUSED, head.length]);
    exports.llhttp_resume(parser);
    expect(execute(parser, GET)).toEqual([PAUSED_UPGRADE, 0]);
  });

  test('the next message is read after an upgrade that is not taken, after CONNECT and after a 101', () => {
    const upgrade = 'GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc';
    expect(targets(upgrade + GET)).toEqual(['/a', '/next']);
    expect(targets(`CONNECT a:1 HTTP/1.1\r\n\r\n${GET}`)).toEqual(['a:1', '/next']);
    const { messages } = read('response', `HTTP/1.1 101 Odd\r\n\r\nHTTP/1.1 204\r\n\r\n`);
    expect(messages.map(({ status, end }) => [status, end])).toEqual([
      [101, 20],
      [204, 36],
    ]);
  });

  test('PRI gives 23, which is not a pause: it is malformed', () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const { exports, execute } = rawLlhttp(pauseAtTheEnd);
    expect(execute(exports.llhttp_alloc(REQUEST), preface)[0]).toBe(PAUSED_H2_UPGRADE);
    expect(read('request', preface)).toEqual({ messages: [], partial: null, state: 'malformed' });
  });
});

describe('the end of a message', () => {
  const CLOSE = 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n';

  test('raw: after one that ends the connection come an error and a wrong keep-alive result', () => {
    let atTheEnd = -1;
    const raw = rawLlhttp({
      complete: (parser) => {
        atTheEnd = raw.exports.llhttp_should_keep_alive(parser);
        return 0;
      },
    });
    const parser = raw.exports.llhttp_alloc(REQUEST);
    expect(raw.execute(parser, CLOSE + GET)[0]).toBe(CLOSED_CONNECTION);
    expect([atTheEnd, raw.exports.llhttp_should_keep_alive(parser)]).toEqual([0, 1]);
  });

  test('keep-alive is read there, trailers included, and again for each message', () => {
    const chunked = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n';
    const keeps = (text: string) => read('request', text).messages.map(({ keepAlive }) => keepAlive);
    expect(keeps(GET + CLOSE + GET)).toEqual([true, false]);
    expect(keeps(`${chunked}\r\n${chunked}Connection: close\r\n\r\n${GET}`)).toEqual([true, false]);
    expect(keeps(`${chunked.replace('1.1', '1.0')}Connection: keep-alive\r\n\r\n${GET}`)).toEqual([false]);
    expect(keeps(`GET / HTTP/1.0\r\n\r\n${GET}`)).toEqual([false]);
    expect(keeps(`GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n${GET}`)).toEqual([true, true]);
  });

  test.each(['close\t', 'close \t', 'close\t, x', 'x,\tClose \t,y'])(
    '`Connection: %s` is heard, which llhttp is deaf to',
    (value) => {
      expect(targets(`GET /a HTTP/1.1\r\nConnection:${value}\r\n\r\n${GET}`)).toEqual(['/a']);
      const trailer = `POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection:${value}\r\n\r\n${GET}`;
      expect(targets(trailer)).toEqual(['/a']);
    },
  );

  test('raw: `headers_complete` that returns 1 makes the body the next request', () => {
    const { exports, called, execute } = rawLlhttp({ head: () => 1 });
    execute(exports.llhttp_alloc(REQUEST), `POST / HTTP/1.1\r\nContent-Length: ${GET.length}\r\n\r\n${GET}`);
    expect(called.filter((name) => name === 'url')).toHaveLength(2);
  });

  test('a counted body is never the next request, whole or in pieces', () => {
    const text = `POST /a HTTP/1.1\r\nContent-Length: ${GET.length}\r\n\r\n${GET}`;
    const { messages } = read('request', text + GET);
    expect(messages.map(({ target, body }) => [target, body])).toEqual([
      ['/a', GET],
      ['/next', ''],
    ]);
  });
});
