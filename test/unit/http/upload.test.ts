// A streamed body by itself, fed piece by piece: what is pulled is what came, and a part of it is never the whole.
import { Buffer } from 'node:buffer';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Exchange } from '../../../src/http/exchange.ts';
import { Turns } from '../../../src/http/turns.ts';
import { Upload, type UploadFailure } from '../../../src/http/upload.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function stream(idleTimeout = 0) {
  const socket = new Socket();
  const request = new IncomingMessage(socket);
  const failures: UploadFailure[] = [];
  const exchange = { request, connection: { socket }, bodyBytes: 0 };
  const upload = new Upload(exchange as unknown as Exchange, {
    idleTimeout,
    turns: new Turns(),
    onFailure: (failure) => failures.push(failure),
  });
  return {
    upload,
    failures,
    isReading: () => !socket.isPaused(),
    give: (...pieces: (string | Buffer)[]) => {
      for (const piece of pieces) request.emit('data', Buffer.from(piece));
    },
    end: (complete = true) => {
      request.complete = complete;
      request.emit('end');
    },
  };
}

async function all(upload: Upload): Promise<string> {
  let text = '';
  for await (const piece of upload) text += piece.toString();
  return text;
}

describe('a streamed body', () => {
  test('arrives whole, whether it is there before the pull or comes after it', async () => {
    const body = stream();
    body.give('before ');
    const pulled = all(body.upload);
    body.give('and ', 'after');
    body.end();
    expect(await pulled).toBe('before and after');
    expect(body.failures).toEqual([]);
  });

  test('the end of a message that is not complete is no end', async () => {
    const body = stream();
    const pulled = all(body.upload);
    body.give('a part');
    body.end(false);
    await expect(pulled).rejects.toThrow('did not come whole');
    expect(body.failures).toEqual(['bad_request']);
  });

  test('what was stopped is never whole, not even later', async () => {
    const body = stream();
    body.give('a part');
    body.upload.stop();
    body.end();
    await expect(body.upload.next()).rejects.toThrow('did not come whole');
    expect(body.failures).toEqual([]);
  });

  test('holds its client back while nobody pulls, and lets it go on then', async () => {
    const body = stream();
    body.give(Buffer.alloc(10_000));
    expect(body.isReading()).toBe(true);
    body.give(Buffer.alloc(10_000));
    expect(body.isReading()).toBe(false);
    await body.upload.next();
    expect(body.isReading()).toBe(true);
  });

  test('in tiny pieces waits for its turn', () => {
    const [first, second] = [stream(), stream()];
    for (let count = 0; count < 600; count++) first.give('x');
    expect(first.isReading()).toBe(false);
    vi.advanceTimersByTime(100);
    expect(first.isReading()).toBe(true);
    for (let count = 0; count < 600; count++)
      second.give('a piece of an ordinary size, a line of text as it may be sent');
    expect(second.isReading()).toBe(false); // 16 KiB, which nobody pulled
  });
});

describe('a client that says nothing', () => {
  test('while it is waited for: body_timeout, once', async () => {
    const body = stream(1000);
    const pulled = body.upload.next();
    vi.advanceTimersByTime(1001);
    expect(body.failures).toEqual(['body_timeout']);
    await expect(pulled).rejects.toThrow();
    vi.advanceTimersByTime(10_000);
    expect(body.failures).toEqual(['body_timeout']);
  });

  test('while nobody waits for it is not at fault', () => {
    const body = stream(1000);
    vi.advanceTimersByTime(10_000);
    expect(body.failures).toEqual([]);
  });

  test('a byte now and then is enough', async () => {
    const body = stream(1000);
    const pulled = all(body.upload);
    for (let count = 0; count < 10; count++) {
      vi.advanceTimersByTime(900);
      body.give('x');
      await new Promise((resolve) => setImmediate(resolve));
    }
    body.end();
    expect(await pulled).toBe('x'.repeat(10));
  });
});
