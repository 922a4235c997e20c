// llhttp, node's HTTP/1.1 parser, in the WebAssembly build that undici ships. No other file knows its path in undici or
// its ABI; test/unit/wire/llhttp.test.ts fails if an update changes what this file needs.
//
// Callbacks only record, and say how to go on. A parser that ran within a callback of another would overwrite the
// scratch area that both read, and a thrown exception would leave llhttp in an undefined state.
import { Buffer } from 'node:buffer';
import bytesOfModule from 'undici/lib/llhttp/llhttp-wasm.js';
import type { MessageParser } from './parser.ts';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly _initialize: () => void;
  malloc(bytes: number): number;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_resume(parser: number): void;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_message_needs_eof(parser: number): number;
  llhttp_should_keep_alive(parser: number): number;
}

/** HPE_PAUSED: a callback returns it to pause, and `llhttp_execute` then returns it too. */
const PAUSED = 21;
/** Any number but 0, 1, 2 and 21 ends the parse with an error. */
const STOP = -1;

type SpanKind = typeof TARGET | typeof REASON | typeof NAME | typeof VALUE;
export const TARGET = 0;
export const REASON = 1;
export const NAME = 2;
export const VALUE = 3;

/** The maximum number of bytes that one run parses: the size of the scratch area in the module's memory. */
export const SLICE = 64 * 1024;

/**
 * The parts of names, values, targets and reason phrases that the current run has found, as kind, from, to, kind, …
 * Successive parts of the same kind belong together. All parsers share the list, since one runs at a time and drains it
 * before its run ends; a list per parser, freed after each head, would leave 2 KB of garbage each time.
 */
export const spans = { list: [] as number[], length: 0 };

/** Records the events of one run. Offsets are into the bytes that `run` was given. */
export type RunRecorder = Pick<MessageParser, 'headComplete' | 'bodyBegins' | 'body' | 'messageComplete'>;

/** The recorder of the current run; null between runs. */
let running: RunRecorder | null = null;
/** The number to add to an address in the module's memory to get the offset in the caller's bytes. */
let shift = 0;
/** True once the run has paused between a head and its body. */
let bodyAwaits = false;

function onSpan(kind: SpanKind): (pointer: number, at: number, length: number) => number {
  return (_pointer, at, length) => {
    const { list } = spans;
    const from = at + shift;
    list[spans.length++] = kind;
    list[spans.length++] = from;
    list[spans.length++] = from + length;
    return 0;
  };
}

const llhttp = new WebAssembly.Instance(new WebAssembly.Module(bytesOfModule), {
  env: {
    wasm_on_message_begin: () => 0,
    wasm_on_url: onSpan(TARGET),
    wasm_on_status: onSpan(REASON),
    wasm_on_header_field: onSpan(NAME),
    wasm_on_header_value: onSpan(VALUE),
    wasm_on_headers_complete: (_pointer, status, _upgrade, keepAlive) => {
      const next = running?.headComplete(status, keepAlive === 1 ? 'persists' : 'ends');
      if (next !== 'body') return next === 'none' ? 1 : STOP;
      bodyAwaits = true;
      return PAUSED;
    },
    wasm_on_body: (_pointer, at, length) => (running?.body(at + shift, at + shift + length) === 'go on' ? 0 : STOP),
    wasm_on_message_complete: () => {
      running?.messageComplete();
      return PAUSED;
    },
  },
}).exports as unknown as Exports;
llhttp._initialize();

const scratch = allocated(llhttp.malloc(SLICE));
/** A view of the module's memory, which is detached when the memory grows. */
let memory = Buffer.from(llhttp.memory.buffer);

function memoryNow(): Buffer {
  if (memory.buffer !== llhttp.memory.buffer) memory = Buffer.from(llhttp.memory.buffer);
  return memory;
}

function allocated(pointer: number): number {
  if (pointer === 0) throw new Error('llhttp is out of memory');
  return pointer;
}

const methodNames: string[] = [];

/** One parser in the module's memory. It must be freed exactly once. */
export class Llhttp {
  readonly #pointer: number;
  consumed = 0;

  constructor(type: 'request' | 'response') {
    this.#pointer = allocated(llhttp.llhttp_alloc(type === 'request' ? 1 : 2));
  }

  /** Parses `bytes` from `from` up to `to`, at most SLICE bytes. `malformed`: they are not HTTP/1.1. */
  run(bytes: Buffer, from: number, to: number, recorder: RunRecorder): 'complete' | 'more' | 'malformed' {
    if (running !== null) throw new Error('llhttp is running already');
    bytes.copy(memoryNow(), scratch, from, to);
    const end = scratch + to - from;
    running = recorder;
    shift = from - scratch;
    bodyAwaits = false;
    spans.length = 0; // needed if the last run threw: its parts must not become part of this message
    try {
      let errno = llhttp.llhttp_execute(this.#pointer, scratch, to - from);
      if (bodyAwaits) {
        // llhttp tells where the head ended only by pausing there.
        const at = llhttp.llhttp_get_error_pos(this.#pointer);
        recorder.bodyBegins(at + shift);
        llhttp.llhttp_resume(this.#pointer);
        errno = llhttp.llhttp_execute(this.#pointer, at, end - at);
      }
      this.consumed = errno === 0 ? to - from : llhttp.llhttp_get_error_pos(this.#pointer) - scratch;
      if (errno === 0) return 'more';
      return errno === PAUSED ? 'complete' : 'malformed';
    } finally {
      running = null;
    }
  }

  reset(): void {
    llhttp.llhttp_reset(this.#pointer);
  }

  free(): void {
    llhttp.llhttp_free(this.#pointer);
  }

  get method(): string {
    const number = llhttp.llhttp_get_method(this.#pointer);
    if (methodNames[number] === undefined) {
      const at = llhttp.llhttp_method_name(number);
      methodNames[number] = memoryNow().toString('latin1', at, memoryNow().indexOf(0, at));
    }
    return methodNames[number];
  }

  /** The version, such as `1.1`, without the protocol's name: llhttp also accepts RTSP and ICE. */
  get version(): string {
    const major = llhttp.llhttp_get_http_major(this.#pointer);
    const minor = llhttp.llhttp_get_http_minor(this.#pointer);
    return major === 1 && minor === 1 ? '1.1' : `${major}.${minor}`;
  }

  /** True if only the end of the connection ends the body. Valid within `headComplete`. */
  get endsWithConnection(): boolean {
    return llhttp.llhttp_message_needs_eof(this.#pointer) !== 0;
  }

  /** Valid only within `messageComplete`: earlier, trailers may still say close; later, llhttp gives a wrong answer. */
  get keepAlive(): boolean {
    return llhttp.llhttp_should_keep_alive(this.#pointer) !== 0;
  }
}
