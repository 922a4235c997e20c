import { Server } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { bind } from '../../../src/downstream/listener.ts';

/** A server on a machine without IPv6, which reports that with `code`. */
class NoIpv6 extends Server {
  readonly hosts: string[] = [];
  code = 'EAFNOSUPPORT';

  override listen(...args: unknown[]): this {
    const { host } = args[0] as { host: string };
    this.hosts.push(host);
    if (host !== '::') return Reflect.apply(super.listen, this, args) as this;
    queueMicrotask(() => this.emit('error', Object.assign(new Error(this.code), { code: this.code })));
    return this;
  }
}

test.each(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])('`::` is IPv4 only if there is no IPv6 (%s)', async (code) => {
  const server = new NoIpv6();
  onTestFinished(() => void server.close());
  server.code = code;
  const port = await bind(server, '::', 0);
  expect(server.hosts).toEqual(['::', '0.0.0.0']);
  expect(server.address()).toMatchObject({ address: '0.0.0.0', port });
  expect(server.listenerCount('error')).toBe(0);
});

test('another error on `::` is reported too', async () => {
  const server = new NoIpv6();
  server.code = 'EACCES';
  await expect(bind(server, '::', 0)).rejects.toMatchObject({ code: 'EACCES' });
  expect(server.hosts).toEqual(['::']);
});
